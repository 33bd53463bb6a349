"""Whether trainings were long enough: the curves of the trials that parameters come from.

A curve is that of a study's best trial; where nothing was searched, of the one training on fit rows
that had the row's own parameters. Scores are on the tune split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.leaderboard.curve_plots import Curve, curves_svg
from bench.leaderboard.markdown import escape

GAIN = 1.0
"""Points of the tune score above which a training that gains so much at its end is too short."""


@dataclass(frozen=True)
class Trained:
    """The training that shows how a method converged on a task.

    Attributes:
        method: The variant's name.
        task: The task.
        ratio: 1 for a reference.
        shares: Of the training that were over at each point, up to 1.
        scores: On the tune split, at each point.
        losses: Mean training loss since the point before.
        gain: Points gained on the tune split over the last fifth, and half of the 95 % interval;
            `None` where the training had too few steps.
    """

    method: str
    task: str
    ratio: float
    shares: list[float]
    scores: list[float]
    losses: list[float]
    gain: tuple[float, float] | None

    @property
    def is_gaining(self) -> bool:
        """Whether it surely gains more than `GAIN` over its last fifth."""
        return self.gain is not None and self.gain[0] - self.gain[1] > GAIN


def trainings(studies: Iterable[Mapping[str, Any]]) -> list[Trained]:
    """The training of every study that has a best trial with a curve, in the order of studies."""
    found = []
    for study in studies:
        best, cell = study.get("best"), study["cell"]
        curve = None if best is None else study["trials"][best].get("curve")
        if curve and curve.get("score"):
            gain = curve.get("gain") and (curve["gain"]["points"], curve["gain"]["half_width"])
            shares = [step / curve["steps"][-1] for step in curve["steps"]]
            where = cell["method"], cell["task"], cell["ratio"]
            found.append(Trained(*where, shares, curve["score"], curve["loss"], gain))
    return found


def gaining_note(studies: Iterable[Mapping[str, Any]], ratio: float) -> str:
    """Which methods were still gaining when their trainings at a ratio ended, or nothing."""
    shown = [t for t in trainings(studies) if t.ratio in (1, ratio)]
    listed = [
        f"{escape(t.method)} on {escape(t.task)} ({t.gain[0]:+.1f} ± {t.gain[1]:.1f})"
        for t in shown
        if t.is_gaining and t.gain
    ]
    if not listed:
        return ""
    return (
        f"**Still gaining** at the end of the training: {', '.join(listed)}. In brackets: points "
        "on the tune split over the last fifth of the steps, ± 95 %. A longer training may score "
        "higher."
    )


def convergence_svg(studies: Iterable[Mapping[str, Any]]) -> str:
    """Tune score and loss against the share of the training, at the hardest ratio.

    Returns:
        The SVG file's text; empty where no curve is known.
    """
    known = trainings(studies)
    hardest = max((trained.ratio for trained in known), default=1.0)
    panels: dict[str, dict[str, Curve]] = {}
    for one in known:
        if one.ratio in (1, hardest):
            first = abs(one.losses[0]) or 1.0  # losses of different kinds share no unit
            losses = [loss / first for loss in one.losses]
            curve = Curve(one.shares, one.scores, losses, one.is_gaining)
            panels.setdefault(one.task, {})[one.method] = curve
    return curves_svg(panels)
