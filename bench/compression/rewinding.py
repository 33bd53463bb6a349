"""Learning rate rewinding (Renda, Frankle and Carbin 2020, arXiv:2003.02389)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compression.callbacks import Callback

if TYPE_CHECKING:
    from bench.compression.callbacks import Training
    from bench.compression.masks import CubicSchedule


class Rewinding(Callback):
    """Lets the learning rate fall anew after each cut, as it falls to zero after the last.

    With c the step of the last cut so far, or 0, the rate after t of T steps is the peak times
    1 − (t − c)/R, where R steps follow the last of all cuts; the first steps also warm up. It has
    to stand behind all callbacks that give the optimizer parameters of their own.

    Args:
        schedule: When weights are cut.
        warmup: Share of the steps with a rising rate.
    """

    def __init__(self, schedule: CubicSchedule, warmup: float = 0.1) -> None:
        self._schedule = schedule
        self._warmup = warmup

    def start(self, training: Training) -> None:
        """Takes note of the peaks, and of the steps at which weights will be cut."""
        self._peaks = [group["lr"] for group in training.optimizer.param_groups]
        self._cuts = sorted(self._schedule.densities(training.total_steps, final=0.0))

    def before_step(self, training: Training) -> None:
        """Sets the rate of the step."""
        share = self.share_at(training.step, training.total_steps)
        for group, peak in zip(training.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share

    def share_at(self, step: int, total_steps: int) -> float:
        """Share of the peak rate after so many steps."""
        cut = max((cut for cut in self._cuts if cut <= step), default=0)
        falling = 1 - (step - cut) / max(1, total_steps - self._cuts[-1])
        return max(0.0, min(falling, (step + 1) / (round(self._warmup * total_steps) + 1)))
