"""The figure of trainings on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.leaderboard.plots import COLOURS, SETTINGS, as_svg, label, width_of


class Curve(NamedTuple):
    """A training on its way.

    Attributes:
        shares: Of the training that were over at each point.
        scores: At each point.
        losses: At each point, over that of the first.
        is_marked: Whether its end is marked: it was still gaining.
    """

    shares: Sequence[float]
    scores: Sequence[float]
    losses: Sequence[float]
    is_marked: bool


def curves_svg(panels: Mapping[str, Mapping[str, Curve]]) -> str:
    """Scores above, losses below, against the share of the training: a column a task.

    Args:
        panels: Curves by task, then by method.

    Returns:
        The SVG file's text; empty where there is nothing to show.
    """
    if not panels:
        return ""
    from matplotlib import style as styles
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    methods = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    style: dict[str, Any] = {
        name: {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": "-" if number < len(COLOURS) else "--",
        }
        for number, name in enumerate(methods)
    }
    end: Any = {"marker": "^", "markersize": 8, "markerfacecolor": "white"}
    with styles.context(SETTINGS, after_reset=True):
        size = (1.2 + 2.7 * len(panels) + width_of(methods), 4.8)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2, len(panels), sharex=True, squeeze=False)
        for (task, curves), (above, below) in zip(panels.items(), grid.T, strict=True):
            above.set_title(label(task), fontsize=10)
            for name, curve in curves.items():
                above.plot(curve.shares, curve.scores, **style[name])
                if curve.is_marked:
                    above.plot(curve.shares[-1], curve.scores[-1], **style[name], **end)
                below.plot(curve.shares, curve.losses, **style[name])
            for axes in (above, below):
                axes.grid(axis="y", color="#dddddd", linewidth=0.6)
            below.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
            below.set_xlabel("share of the steps")
        grid[0][0].set_ylabel("tune score")
        grid[1][0].set_ylabel("training loss / first")
        handles = [Line2D([], [], label=label(name), **style[name]) for name in methods]
        handles.append(Line2D([], [], label="still gaining", color="black", linestyle="", **end))
        figure.legend(handles=handles, frameon=False, fontsize=9, loc="outside right center")
        return as_svg(figure)
