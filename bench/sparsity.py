"""Masks over the prunable weights, and the schedules that thin them out; learnt masks: `movement`.

A criterion turns a matrix into scores; the highest stay. Thresholds are local (each matrix keeps
the same share) or global (the highest scores of all matrices together). Masks are monotone: what is
gone stays gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bench.budget import keep_counts
from bench.families import prunable
from bench.training import Callback

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.training import Training

Criterion = Callable[[str, nn.Linear], Tensor]
"""From a matrix's name and module to scores of the weight's shape; the highest are kept."""

Scope = Literal["local", "global"]


def magnitude(name: str, linear: nn.Linear) -> Tensor:
    """The absolute value of each weight."""
    return linear.weight.detach().abs()


@dataclass(frozen=True)
class CubicSchedule:
    """Density over the steps of a training (Zhu and Gupta 2017, arXiv:1710.01878).

    The share removed rises as s·(1 − (1 − x)³) while x goes from 0 to 1 between `begin` and `end`,
    in about `events` cuts, at most one a step, the last exactly at the target.

    Attributes:
        begin: Share of the steps before the first cut.
        end: Share of the steps after which the target is met.
        events: Number of cuts.
    """

    begin: float = 0.0
    end: float = 1.0
    events: int = 100

    def densities(self, total_steps: int, final: float) -> dict[int, float]:
        """The cuts of a training: density to cut to, by the number of steps made.

        Args:
            total_steps: Optimizer steps of the training.
            final: Density at the end, 0–1.
        """
        begin = round(self.begin * total_steps)
        span = max(1, round(self.end * total_steps) - begin)
        events = min(self.events, span)
        cuts = {}
        for event in range(1, events + 1):
            step = min(total_steps, begin + -(-event * span // events))
            remaining = (1 - event / events) ** 3
            cuts[step] = final + (1 - final) * remaining
        return cuts


def random_scores(model: PreTrainedModel, seed: int) -> dict[str, Tensor]:
    """A score a prunable weight, drawn uniformly from the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(linear.weight.shape, generator=generator)
        for name, linear in prunable(model).items()
    }


class Masks:
    """Which prunable weights of a model are kept.

    Args:
        model: The model; its weights are zeroed in place by `apply`.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.linears = prunable(model)
        self.kept = {
            name: torch.ones_like(linear.weight, dtype=torch.bool)
            for name, linear in self.linears.items()
        }

    def cut(self, scores: Mapping[str, Tensor], density: float, scope: Scope = "local") -> None:
        """Keeps the weights of the highest scores among those that were still kept.

        Args:
            scores: A score a weight, by matrix.
            density: Share of all prunable weights to keep, 0–1.
            scope: Whether every matrix keeps the same share, or the best of all stay.
        """
        before = self.kept
        alive = {name: scores[name].masked_fill(~kept, -torch.inf) for name, kept in before.items()}
        self.choose(alive, density, scope)
        self.kept = {name: kept & before[name] for name, kept in self.kept.items()}

    def choose(self, scores: Mapping[str, Tensor], density: float, scope: Scope = "local") -> None:
        """Keeps the weights of the highest scores, whatever was kept before.

        The number kept is exact, ties included.

        Args:
            scores: A score a weight, by matrix.
            density: Share of all prunable weights to keep, 0–1.
            scope: Whether every matrix keeps the same share, or the best of all stay.
        """
        alive = {name: scores[name].detach().flatten() for name in self.kept}
        counts = keep_counts([score.numel() for score in alive.values()], density)
        if scope == "global":
            best = _best(torch.cat(list(alive.values())), sum(counts))
            parts = best.split([score.numel() for score in alive.values()])
        else:
            parts = tuple(
                _best(score, count) for score, count in zip(alive.values(), counts, strict=True)
            )
        for (name, kept), part in zip(self.kept.items(), parts, strict=True):
            self.kept[name] = part.view_as(kept)

    @torch.no_grad()
    def apply(self) -> None:
        """Zeroes the weights that are not kept."""
        for name, linear in self.linears.items():
            linear.weight.mul_(self.kept[name])

    @torch.no_grad()
    def apply_to_gradients(self) -> None:
        """Zeroes the gradients of weights that are not kept: clipping must not count them."""
        for name, linear in self.linears.items():
            if linear.weight.grad is not None:
                linear.weight.grad.mul_(self.kept[name])


def _best(scores: Tensor, count: int) -> Tensor:
    """A mask of the `count` highest scores."""
    mask = torch.zeros_like(scores, dtype=torch.bool)
    mask[scores.topk(count, sorted=False).indices] = True
    return mask


class MaskedTraining(Callback):
    """Holds weights at zero where the masks say so, through every step.

    Args:
        masks: The masks; they may change during the training.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = masks

    def start(self, training: Training) -> None:
        """Applies the masks before the first step."""
        self.masks.kept = {
            name: kept.to(training.model.device) for name, kept in self.masks.kept.items()
        }
        self.masks.apply()

    def before_step(self, training: Training) -> None:
        """Takes removed weights out of the gradient."""
        self.masks.apply_to_gradients()

    def after_step(self, training: Training) -> None:
        """Undoes what the optimizer's momentum did to removed weights."""
        self.masks.apply()


class GradualPruner(MaskedTraining):
    """Removes the weights of the lowest scores a little at a time during a training.

    Args:
        model: The model that is trained.
        density: Share of the prunable weights that is left at the end, 0–1.
        criterion: Scores, computed anew at each cut.
        schedule: When to cut, and how far.
        scope: Local or global thresholds.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        density: float,
        criterion: Criterion = magnitude,
        schedule: CubicSchedule | None = None,
        scope: Scope = "local",
    ) -> None:
        super().__init__(Masks(model))
        self.model = model
        self.density = density
        self.criterion = criterion
        self.schedule = schedule or CubicSchedule()
        self.scope: Scope = scope
        self._cuts: dict[int, float] = {}

    def start(self, training: Training) -> None:
        """Lays out the cuts over the steps of this training."""
        super().start(training)
        self._cuts = self.schedule.densities(training.total_steps, self.density)

    def after_step(self, training: Training) -> None:
        """Cuts where the schedule says so."""
        if training.step in self._cuts:
            self._cut(self._cuts[training.step])
        super().after_step(training)

    def finish(self) -> PreTrainedModel:
        """Returns the model with its zeros baked in, at exactly the wanted density."""
        self._cut(self.density)
        self.masks.apply()
        return self.model

    def _cut(self, density: float) -> None:
        scores = {name: self.criterion(name, linear) for name, linear in self.masks.linears.items()}
        self.masks.cut(scores, density, self.scope)
