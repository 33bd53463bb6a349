"""Learnt masks: movement pruning, hard and soft (Sanh et al. 2020, arXiv:2005.07683)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.compression.callbacks import Callback
from bench.compression.masks import CubicSchedule, Masks, Scope

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Training

LEAST_KEPT = 0.005
"""Share of each matrix that a threshold always leaves, as in the authors' code."""

STRONGEST_PULL = 3.0
"""Most that the regulariser may outweigh the loss: beyond, the order of scores is lost."""


class MovementPruner(Callback):
    """Learns which weights to keep, by a score a weight (Sanh et al. 2020, arXiv:2005.07683).

    With W' = W ⊙ M(S) the weights of the forward pass, the straight-through gradients are

        ∂L/∂S = ∂L/∂W' ⊙ W, for removed weights too, and ∂L/∂W = ∂L/∂W' ⊙ M,

    so that scores grow for weights that move away from zero. The model holds W' whenever it runs
    and W while the optimizer steps; removed weights, which momentum and decay still move for a
    while, may come back.

    Args:
        model: The model that is trained.
        density: Share of the prunable weights that is left at the end, 0–1.
        score_learning_rate: Peak rate of the scores, which follow the weights' schedule.
        schedule: When the density changes, and how far.
        scope: Whether every matrix keeps the same share, or the best of all stay and at least
            `LEAST_KEPT` of each.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        density: float,
        score_learning_rate: float = 1e-2,
        schedule: CubicSchedule | None = None,
        scope: Scope = "local",
    ) -> None:
        self.model = model
        self.density = density
        self.score_learning_rate = score_learning_rate
        self.schedule = schedule or CubicSchedule()
        self.scope: Scope = scope
        self.scores: dict[str, Tensor] = {}
        self._masks = Masks(model)
        self._dense: dict[str, Tensor] = {}
        self._cuts: dict[int, float] = {}
        self._now = 1.0

    def start(self, training: Training) -> None:
        """Gives each weight a score of zero, which the optimizer moves along with the model."""
        self._cuts = self.schedule.densities(training.total_steps, self.density)
        self._masks = Masks(self.model)  # on the device that the model is trained on
        for name, linear in self._masks.linears.items():
            self._dense[name] = linear.weight.detach().clone()
        self.scores = {name: scores.requires_grad_() for name, scores in self._no_scores().items()}
        training.optimizer.add_param_group(
            {
                "params": list(self.scores.values()),
                "lr": self.score_learning_rate,
                "weight_decay": 0.0,
            }
        )

    @torch.no_grad()
    def before_step(self, training: Training) -> None:
        """Turns the gradient of W' into those of scores and weights, and puts W in place."""
        moved = {}
        for name, linear in self._masks.linears.items():
            gradient = linear.weight.grad
            if gradient is None:
                raise ValueError(f"the loss does not depend on {name}")
            moved[name] = gradient * self._dense[name]
            gradient.mul_(self._masks.kept[name])
            linear.weight.copy_(self._dense[name])
        self._learn(moved)

    @torch.no_grad()
    def after_step(self, training: Training) -> None:
        """Chooses the weights to keep anew, and puts W' in place."""
        self._choose(training)
        for name, linear in self._masks.linears.items():
            self._dense[name].copy_(linear.weight)
        self._masks.apply()

    def _no_scores(self) -> dict[str, Tensor]:
        """Scores of zero, by matrix."""
        return {name: torch.zeros_like(weight) for name, weight in self._dense.items()}

    def _learn(self, moved: Mapping[str, Tensor]) -> None:
        """Gives the scores their gradients, from those of the weights, ∂L/∂W' ⊙ W."""
        for name, gradient in moved.items():
            self.scores[name].grad = gradient

    def _choose(self, training: Training) -> None:
        """Keeps the highest scores; where they are those of all matrices, some of each."""
        self._now = self._cuts.get(training.step, self._now)
        if self._now == 1:
            return  # before the first cut all are kept
        self._masks.choose(self.scores, self._now, self.scope)
        least = min(LEAST_KEPT, self._now)
        if any(kept.sum() < int(least * kept.numel()) for kept in self._masks.kept.values()):
            self._masks.choose(_guarded(self.scores, least), self._now, self.scope)

    def finish(self) -> PreTrainedModel:
        """Returns the model with its zeros baked in, at exactly the wanted density."""
        return self.model


class SoftMovementPruner(MovementPruner):
    """Keeps the weights whose score passes a threshold: M = 1[σ(S) > τ].

    τ rises from 0 to `threshold` along the cubic schedule while a regulariser, λ times the mean of
    σ(S) over each matrix and over the matrices, pulls the scores down. No λ gives an exact density.
    Here λ follows the cubic schedule: the further the score that should just pass lies above the
    threshold, the stronger the pull, in multiples of the loss's own gradient; below it there is
    none. When the schedule ends one hard cut settles the exact density, and from then on the masks
    stay as they are.

    Args:
        model: The model that is trained.
        density: Share of the prunable weights that is left at the end, 0–1.
        score_travel: How far a score could go at the peak rate all along, which sets that rate by
            the number of steps: in a short run the paper's rate never takes a score to τ.
        schedule: When the density changes, and how far.
        threshold: τ at the end of the schedule.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        density: float,
        score_travel: float = 50.0,
        schedule: CubicSchedule | None = None,
        threshold: float = 0.1,
    ) -> None:
        super().__init__(model, density=density, schedule=schedule, scope="global")
        self.score_travel = score_travel
        self.threshold = threshold
        self.pull = 0.0
        self._settled = False

    def start(self, training: Training) -> None:
        """Sets the scores' rate by the steps at hand."""
        self.score_learning_rate = self.score_travel / training.total_steps
        super().start(training)

    @torch.no_grad()
    def before_step(self, training: Training) -> None:
        """Adds the regulariser's gradient to the straight-through one."""
        super().before_step(training)
        if self._settled:
            for scores in self.scores.values():
                scores.grad = None
            return
        gradients = [scores.grad for scores in self.scores.values() if scores.grad is not None]
        slopes = [
            (s.sigmoid() * (1 - s.sigmoid())).div_(s.numel() * len(self.scores))
            for s in self.scores.values()
        ]
        penalty = self.pull * _mean_size(gradients) / _mean_size(slopes)
        for gradient, slope in zip(gradients, slopes, strict=True):
            gradient.add_(slope, alpha=penalty)

    def _choose(self, training: Training) -> None:
        """Applies the threshold, and sets the pull by how far the wanted density is from it."""
        if self._settled:
            return
        self._now = self._cuts.get(training.step, self._now)
        if training.step >= max(self._cuts):
            guarded = _guarded(self.scores, min(LEAST_KEPT, self.density))
            self._masks.choose(guarded, self.density, self.scope)
            self._settled = True
            return
        tau = self.threshold * (1 - self._now) / (1 - self.density)  # the cubic share of the way
        if tau == 0:
            return
        level = math.log(tau / (1 - tau))
        self._masks.kept = {
            name: scores > min(level, _score_at(scores, LEAST_KEPT))
            for name, scores in self.scores.items()
        }
        everything = torch.cat([scores.detach().flatten() for scores in self.scores.values()])
        self.pull = min(max(_score_at(everything, self._now) - level, 0.0), STRONGEST_PULL)


def _guarded(scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The scores, with that share of each matrix, its highest, above all others."""
    return {
        name: score.detach().masked_fill(score > _score_at(score, share), math.inf)
        for name, score in scores.items()
    }


def _mean_size(tensors: list[Tensor]) -> float:
    """Mean absolute value over all elements."""
    return float(sum(t.abs().sum() for t in tensors)) / sum(t.numel() for t in tensors)


def _score_at(scores: Tensor, share: float) -> float:
    """The score that exactly `share` of all lie above."""
    place = max(1, round((1 - share) * scores.numel()))
    return float(scores.detach().flatten().kthvalue(place).values)
