"""Charts as SVG: the same numbers give the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.shown import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which the colour-blind can tell apart; markers differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


SHORT = 1.7
"""Inches that a chart leaves for names without growing: those of the built-in methods."""


@dataclass(frozen=True)
class TrialPoint:
    """A trial of a tuning.

    Attributes:
        rate: Its learning rate.
        score: On the tune split; `None` where it failed.
        counts: Whether it could have been chosen.
        best: Whether it was.
    """

    rate: float
    score: float | None
    counts: bool
    best: bool


SETTINGS: Any = {
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",
    "font.size": 10,
    "text.parse_math": False,  # a dollar in a name is one
}

LONGEST = 60
"""Characters of a name that a chart has room for."""


def label(name: str) -> str:
    """A name as a chart shows it: what no reader sees is written out, and its end left out."""
    text = shown(name)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def heat_svg(shares: Mapping[str, Mapping[str, float]]) -> str:
    """Share of the dense score that is kept, a column a task and ratio, a row a method.

    Args:
        shares: In %, by column, then by method.

    Returns:
        The SVG file's text; empty where there is nothing to show.
    """
    if not shares:
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(name for column in shares.values() for name in column))
    grid = [[column.get(name, float("nan")) for column in shares.values()] for name in methods]
    with styles.context(SETTINGS, after_reset=True):
        left = 0.7 + max(SHORT, width_of(methods))
        size = (left + 0.95 * len(shares), 1.1 + 0.32 * len(methods))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.imshow(grid, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        axes.set_xticks(range(len(shares)), [*map(label, shares)], rotation=30, ha="right")
        axes.set_yticks(range(len(methods)), [*map(label, methods)])
        axes.tick_params(length=0)
        for y, row in enumerate(grid):
            for x, value in enumerate(row):
                if value == value:  # not a gap
                    axes.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=9,
                              color="black" if value > 60 else "white")  # fmt: skip
        return as_svg(figure)


def critical_svg(panels: Mapping[str, tuple[Mapping[str, float], Sequence[Sequence[str]]]]) -> str:
    """Methods by their average, and a bar with a dot for each member of every set left together.

    Args:
        panels: By title: averages by method, the highest first, and sets of methods.

    Returns:
        The SVG file's text; empty where there is nothing to show.
    """
    panels = {title: panel for title, panel in panels.items() if panel[0]}
    if not panels:
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure

    names = [name for averages, _ in panels.values() for name in averages]
    lines = [len(averages) + 2 for averages, _ in panels.values()]
    most = max(len(sets) for _, sets in panels.values())
    bars = max(1.1, 0.25 * most)  # the least that their heading takes
    with styles.context(SETTINGS, after_reset=True):
        size = (4.6 + width_of(names) + bars, 0.5 + 0.3 * sum(lines))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(panels), 2, sharey="row", squeeze=False, width_ratios=[4, bars],
                               height_ratios=lines)  # fmt: skip
        for (left, right), (title, (averages, sets)) in zip(grid, panels.items(), strict=True):
            places = {name: place for place, name in enumerate(averages)}
            left.plot(list(averages.values()), list(places.values()), "o", color="black")
            left.set_yticks(range(len(places)), [*map(label, places)])
            left.set_ylim(len(places) - 0.5, -0.5)
            left.grid(color="#dddddd", linewidth=0.6)
            left.set_title(label(title), fontsize=10, loc="left")
            for number, members in enumerate(sets):
                ys = [places[name] for name in members]
                right.plot([number] * len(ys), ys, "o-", linewidth=2, markersize=5,
                           color=COLOURS[number % len(COLOURS)])  # fmt: skip
            right.set_xlim(-0.7, max(most, 4) - 0.3)
            right.set_title("not told apart", fontsize=9, loc="left")
            right.tick_params(left=False, labelleft=False)
            right.set_xticks([])
            for spine in right.spines.values():
                spine.set_visible(False)
        left.set_xlabel("average score")
        return as_svg(figure)


PANELS = 4
"""Panels in a row, at most."""


def trials_svg(
    panels: Mapping[str, Mapping[str, Sequence[TrialPoint]]], floors: Mapping[str, float]
) -> str:
    """Tune score against learning rate, a point a trial, a panel a task and ratio.

    What was chosen has a ring. A trial below the ratio is hollow, one that failed a cross below.

    Args:
        panels: Trials by panel, then by method.
        floors: What words alone score, by panel, as far as that is known.

    Returns:
        The SVG file's text; empty where there is nothing to show.
    """
    if not panels:
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator

    methods = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    looks = {
        name: (COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)])
        for n, name in enumerate(methods)
    }
    across = min(PANELS, len(panels))
    down = -(-len(panels) // across)
    with styles.context(SETTINGS, after_reset=True):
        size = (1.2 + SHORT + 2.6 * across + max(0.0, width_of(methods) - SHORT), 0.6 + 2.5 * down)
        figure = Figure(figsize=size, layout="constrained")
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, (title, panel) in zip(grid, panels.items(), strict=False):
            for name, points in panel.items():
                _draw_trials(axes, points, *looks[name])
            if title in floors:
                axes.axhline(floors[title], color="#777777", linestyle=":", linewidth=1)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:.0e}".replace("e-0", "e-"))
            axes.minorticks_off()
            axes.tick_params(labelsize=8)
            axes.set_title(label(title), fontsize=10)
            axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel("learning rate", fontsize=10)
        figure.supylabel("score on the tune split", fontsize=10)
        handles = [
            Line2D([], [], color=colour, marker=marker, linestyle="", label=label(name))
            for name, (colour, marker) in looks.items()
        ]
        if floors:
            handles.append(Line2D([], [], color="#777777", linestyle=":", label="text floor"))
        figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right center")
        return as_svg(figure)


def _draw_trials(axes: Axes, points: Sequence[TrialPoint], colour: str, marker: str) -> None:
    """Draws the trials of a method; those that failed at the lower edge, which is no score."""
    for point in points:
        if point.score is None:
            axes.plot(point.rate, 0.03, marker="x", color=colour, markersize=5, linestyle="",
                      transform=axes.get_xaxis_transform())  # fmt: skip
            continue
        axes.plot(point.rate, point.score, marker=marker, markersize=5, linestyle="",
                  color=colour, markerfacecolor=colour if point.counts else "none")  # fmt: skip
        if point.best:
            axes.plot(point.rate, point.score, marker="o", markersize=11, linestyle="",
                      markerfacecolor="none", color=colour)  # fmt: skip


def width_of(names: Iterable[str]) -> float:
    """Inches that the longest name takes, about."""
    return 0.085 * max(len(label(name)) for name in names)


def as_svg(figure: Figure) -> str:
    """The same bytes for the same figure."""
    out = io.StringIO()
    with warnings.catch_warnings():  # the reader's own fonts draw what ours lacks
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
