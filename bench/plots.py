"""Figures as SVG: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

# Okabe and Ito's palette, which the colour-blind can tell apart; markers differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def pareto_svg(curves: Mapping[str, Sequence[tuple[float, float]]], axis: str) -> str:
    """Score against compression ratio, one line a method.

    Args:
        curves: Points (wanted ratio, average score) by method; a reference has one, at ratio 1.
        axis: What the ratio is counted on, in words.

    Returns:
        The SVG file's text; empty where nothing was compressed.
    """
    lines = {name: points for name, points in curves.items() if any(x > 1 for x, _ in points)}
    if not lines:
        return ""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 10}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for name, points in curves.items():
            if name not in lines:
                axes.axhline(points[0][1], color="#777777", linestyle=":", linewidth=1)
                axes.annotate(name, (0.995, points[0][1]), xycoords=("axes fraction", "data"),
                              ha="right", va="bottom", color="#555555", fontsize=8)  # fmt: skip
        for number, (name, points) in enumerate(lines.items()):
            xs, ys = zip(*sorted(points), strict=True)
            axes.plot(xs, ys, label=name, color=COLOURS[number % len(COLOURS)],
                      marker=MARKERS[number % len(MARKERS)])  # fmt: skip
        ticks = sorted({x for points in lines.values() for x, _ in points})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{x:g}×" for x in ticks])
        axes.minorticks_off()
        axes.margins(x=0.12)
        axes.set_xlabel(f"compression, on {axis}")
        axes.set_ylabel("average score")
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False, fontsize=9)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
