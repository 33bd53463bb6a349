"""The figure of what a budget buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.leaderboard.plots import COLOURS, MARKERS, PANELS, SETTINGS, as_svg, label


class Score(NamedTuple):
    """What an option scored at a budget.

    Attributes:
        budget: The money.
        mean: Mean score.
        half_width: Half the width of its interval, where it has one.
    """

    budget: float
    mean: float
    half_width: float | None


class Panel(NamedTuple):
    """A method at a ratio.

    Attributes:
        lines: Scores by option, by budget in ascending order.
        marks: Break-even budgets.
    """

    lines: Mapping[str, Sequence[Score]]
    marks: Sequence[float]


def budget_svg(panels: Mapping[str, Panel], money: str, options: Sequence[str]) -> str:
    """Score against budget, a panel a method and ratio; dotted lines are break-even budgets.

    Args:
        panels: By title.
        money: What the budget is counted in.
        options: All options, in the order of their colours.

    Returns:
        The SVG file's text; empty where there is nothing to show.
    """
    if not panels:
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    across = min(PANELS, len(panels))
    down = -(-len(panels) // across)
    with styles.context(SETTINGS, after_reset=True):
        figure = Figure(figsize=(2.2 + 2.9 * across, 0.7 + 2.6 * down), layout="constrained")
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, (title, panel) in zip(grid, panels.items(), strict=False):
            for number, option in enumerate(options):
                if option not in panel.lines:
                    continue
                scores = panel.lines[option]
                axes.errorbar(
                    [one.budget for one in scores],
                    [one.mean for one in scores],
                    yerr=[one.half_width or 0.0 for one in scores],
                    color=COLOURS[number],
                    marker=MARKERS[number],
                    markersize=5,
                    linewidth=1.5,
                    elinewidth=0.8,
                    capsize=2,
                )
            for mark in panel.marks:
                axes.axvline(mark, color="#777777", linestyle=":", linewidth=1)
            budgets = sorted({one.budget for line in panel.lines.values() for one in line})
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_xticks(budgets, [f"{one:g}" for one in budgets], fontsize=8)
            axes.set_title(label(title), fontsize=10)
            axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel(label(money), fontsize=10)
        figure.supylabel("score", fontsize=10)
        handles = [
            Line2D([], [], color=COLOURS[number], marker=MARKERS[number], label=option)
            for number, option in enumerate(options)
            if any(option in panel.lines for panel in panels.values())
        ]
        figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right center")
        return as_svg(figure)
