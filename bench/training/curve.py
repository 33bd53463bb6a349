"""What a training looks like on its way: its loss, and the score on rows that it does not see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from bench.compression.callbacks import Callback
from bench.training.evaluate import respond
from bench.training.scoring import difference, score

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Training
    from bench.data.encoded import Encoded
    from bench.data.task import Task

POINTS = 10
"""Points of a curve, equally spaced; the end of each phase of a method is one more."""

LATE = 0.8
"""Share of the steps after which a training has its last fifth before it."""


class KeepsTraining(Callback):
    """Keeps hold of a training, so that one that diverges is charged for the steps it made."""

    training: Training | None = None

    def start(self, training: Training) -> None:
        """Takes it."""
        self.training = training


@dataclass
class Curve(Callback):
    """Records a training, or the phases of one after another, and leaves it as it is to the bit.

    It has to be the last callback: a model under learnt masks is whole only after theirs.

    Attributes:
        total: Optimizer steps of all phases.
        task: The task.
        rows: Rows that the model is scored on at each point; `None` records the loss alone.
        steps: Optimizer steps made until each point.
        loss: Mean training loss since the point before.
        score: Score at each point.
        answers: What the model answered to `rows` at each point, `[rows]` each.
    """

    total: int
    task: Task
    rows: Encoded | None = None
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    answers: list[NDArray[Any]] = field(default_factory=list)
    _made: int = 0
    _losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._points = {round(self.total * point / POINTS) for point in range(1, POINTS + 1)}

    def after_step(self, training: Training) -> None:
        """Takes note of the step, and at a point of the model."""
        self._made += 1
        self._losses.append(training.loss)
        if self._made not in self._points and training.step < training.total_steps:
            return
        self.steps.append(self._made)
        self.loss.append(sum(self._losses) / len(self._losses))
        self._losses = []
        if self.rows is not None:
            self._score(training.model, self.rows)

    def _score(self, model: PreTrainedModel, rows: Encoded) -> None:
        task, modes = self.task, {module: module.training for module in model.modules()}
        with torch.random.fork_rng():
            answers = respond(model, task.info.metric, rows, str(model.device)).answers
        for module, mode in modes.items():
            module.training = mode
        self.answers.append(answers)
        found = score(task.info.metric, answers, rows.references, rows.parts)
        self.score.append(found.main)

    def described(self) -> dict[str, Any] | None:
        """The curve as records and studies keep it; `None` where nothing was trained.

        That is `steps` and `loss` and, where rows were scored, `score` and `gain`: how much the
        last fifth of the training has gained on them, with half of its 95 % interval.
        """
        if not self.steps:
            return None
        known: dict[str, Any] = {"steps": list(self.steps), "loss": list(self.loss)}
        if self.rows is None:
            return known
        return {**known, "score": list(self.score), "gain": self._gain(self.rows)}

    def _gain(self, rows: Encoded) -> dict[str, float] | None:
        before = range(len(self.steps) - 1)
        if not before:
            return None
        late = min(before, key=lambda point: abs(self.steps[point] - LATE * self.steps[-1]))
        found = difference(
            self.task.info.metric,
            self.answers[-1],
            self.answers[late],
            rows.references,
            rows.parts,
        )
        return {"points": found.value, "half_width": found.half_width}
