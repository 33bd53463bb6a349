"""The charts that show every seed: a forest at one ratio, curves over costs at several."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.leaderboard.plots import COLOURS, MARKERS, SETTINGS, SHORT, as_svg, label, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = ("-", ":", "-.", "--")
"""Of lines through a panel."""

CONTROL = "#777777"

PANELS = 5
"""Panels beside each other, at most."""


class Spread(NamedTuple):
    """What one method scored.

    Attributes:
        seeds: A score a seed.
        mean: Their mean, `None` without any.
        half_width: Half the width of the mean's interval, where it has one.
    """

    seeds: Sequence[float]
    mean: float | None
    half_width: float | None


Panel = Mapping[str, Spread]
"""By method."""


class Point(NamedTuple):
    """What the models of a method cost, and score.

    Attributes:
        costs: Positive numbers, by what they count.
        mean: Mean score.
        seeds: A score a seed.
    """

    costs: Mapping[str, float]
    mean: float
    seeds: Sequence[float]


def forest_svg(
    panels: Mapping[str, Panel],
    levels: Sequence[str],
    controls: Collection[str],
    greyed: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> str:
    """Methods below each other, a panel a task: a dot a seed, mean, median and interval.

    Args:
        panels: By title, each with the same methods in the same order.
        levels: Methods whose mean is a line through each panel, where there are such.
        controls: Methods that are drawn in grey.
        greyed: Those that are so in one panel alone, by its title.

    Returns:
        The SVG file's text; empty where there is nothing to show.
    """
    methods = list(next(iter(panels.values()), {}))
    if not methods:
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    lines = {name: style for name, style in zip(levels, STYLES, strict=False) if name in methods}
    across = min(len(panels), PANELS)
    down = -(-len(panels) // across)
    with styles.context(SETTINGS, after_reset=True):
        size = (
            max(SHORT, width_of(methods)) + 2.1 * across,
            0.5 + down * (0.7 + 0.27 * len(methods)),
        )
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, across, sharey=True, squeeze=False)
        for number, (axes, (title, panel)) in enumerate(
            zip(grid.flat, panels.items(), strict=False)
        ):
            axes.set_title(label(title), fontsize=10)
            axes.grid(color="#e8e8e8", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
            for name, style in lines.items():
                if (level := panel[name].mean) is not None:
                    axes.axvline(level, color="#555555", linestyle=style, linewidth=1, label=name)
            greys = {*controls, *greyed.get(title, ())}
            for grey in (False, True):
                chosen = {place: spread for place, (name, spread) in enumerate(panel.items())
                          if (name in greys) == grey}  # fmt: skip
                colour = CONTROL if grey else COLOURS[0]
                _draw_spreads(axes, chosen, colour, f"seeds-{number}-{int(grey)}")
        first = grid[0, 0]
        first.set_yticks(range(len(methods)), [*map(label, methods)])
        first.set_ylim(len(methods) - 0.5, -0.5)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        if lines:
            handles, names = first.get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower right", ncols=len(lines),
                          frameon=False, fontsize=9)  # fmt: skip
        return as_svg(figure)


def _draw_spreads(axes: Axes, spreads: Mapping[int, Spread], colour: str, name: str) -> None:
    """Lines of a forest by place: dots, so named, and median above, mean and interval below."""
    dots = [(seed, place - 0.14) for place, one in spreads.items() for seed in one.seeds]
    means = [(one.mean, place + 0.2) for place, one in spreads.items() if one.mean is not None]
    sure = [(one.mean - one.half_width, one.mean + one.half_width, place + 0.2)
            for place, one in spreads.items()
            if one.mean is not None and one.half_width is not None]  # fmt: skip
    middles = [(statistics.median(one.seeds), place) for place, one in spreads.items()
               if len(one.seeds) > 1]  # fmt: skip
    if sure:
        low, high, place = zip(*sure, strict=True)
        axes.hlines(place, low, high, color=colour, linewidth=1.2)
    if middles:
        axes.vlines([x for x, _ in middles], [y - 0.36 for _, y in middles],
                    [y + 0.08 for _, y in middles], color="black", linewidth=1.2)  # fmt: skip
    axes.plot([x for x, _ in dots], [y for _, y in dots], "o", color=colour, markersize=5.5,
              alpha=0.5, markeredgewidth=0, gid=name)  # fmt: skip
    axes.plot([x for x, _ in means], [y for _, y in means], "D", color=colour, markersize=4)


def tradeoff_svg(
    curves: Mapping[str, Sequence[Point]], levels: Mapping[str, float], *, joined: bool = True
) -> str:
    """Score against costs, a panel a cost on a log axis, a line a method and a dot a seed.

    Args:
        curves: Points by method.
        levels: Scores that are a line through each panel, by name.
        joined: Whether a line joins the points of a method.

    Returns:
        The SVG file's text; empty where there is no cost, or no method has two points to join.
    """
    costs = list(dict.fromkeys(c for points in curves.values() for p in points for c in p.costs))
    if not costs or (joined and all(len(points) < 2 for points in curves.values())):
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    with styles.context(SETTINGS, after_reset=True):
        beyond = max(SHORT, width_of([*curves, *levels]))
        figure = Figure(figsize=(0.9 + 3.5 * len(costs) + beyond, 4.6), layout="constrained")
        grid = figure.subplots(1, len(costs), sharey=True, squeeze=False)
        for panel, (axes, cost) in enumerate(zip(grid.flat, costs, strict=True)):
            for style, (name, level) in zip(STYLES, levels.items(), strict=False):
                axes.axhline(level, color=CONTROL, linestyle=style, linewidth=1,
                             label=None if name in curves else name)  # fmt: skip
            for number, (name, points) in enumerate(curves.items()):
                known = [point for point in points if cost in point.costs]
                known.sort(key=lambda point: point.costs[cost])
                colour = CONTROL if name in levels else COLOURS[number % len(COLOURS)]
                look: Any = {"color": colour, "marker": MARKERS[number % len(MARKERS)]}
                line = "-" if number < len(COLOURS) or name in levels else "--"
                shape = line if (joined and len(points) > 1) or name in levels else ""
                axes.plot([point.costs[cost] for point in known], [p.mean for p in known],
                          label=label(name), linestyle=shape, **look)  # fmt: skip
                dots = [(point.costs[cost], seed) for point in known for seed in point.seeds]
                axes.plot([x for x, _ in dots], [y for _, y in dots], linestyle="", markersize=5,
                          alpha=0.4, markeredgewidth=0, gid=f"seeds-{panel}-{number}",
                          **look)  # fmt: skip
            _log_ticks(axes, [p.costs[cost] for points in curves.values() for p in points
                              if cost in p.costs])  # fmt: skip
            axes.set_xlabel(cost)
            axes.grid(color="#e8e8e8", linewidth=0.6)
        grid[0, 0].set_ylabel("average score")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", frameon=False, fontsize=9)
        return as_svg(figure)


def _log_ticks(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis with round ticks, as plain numbers."""
    axes.set_xscale("log")
    low, high = min(values) / 1.3, max(values) * 1.3
    shown: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):  # as few as will do
        ticks = (step * 10.0**power for power in range(-9, 10) for step in steps)
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) > 2:
            break
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.set_xlim(low, high)
