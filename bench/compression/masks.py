"""Masks over the prunable weights, and the schedules that thin them out; learnt masks: `movement`.

A criterion turns a matrix into scores; the highest stay. Thresholds are local (each matrix keeps
the same share) or global (the highest scores of all matrices together). Masks are monotone: what is
gone stays gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bench.compression.callbacks import Callback
from bench.compression.target import keep_counts
from bench.models.families import prunable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Training

Criterion = Callable[[str, nn.Linear], Tensor]
"""From a matrix's name and module to scores of the weight's shape; the highest are kept."""

GOLDEN_RATIO = (5**0.5 - 1) / 2
"""Whose multiples, whole parts taken off, put rows into an order that is even over every matrix."""

Scope = Literal["local", "global", "row"]
"""Whose highest scores stay: each matrix's, those of all, or each output row's."""


def magnitude(name: str, linear: nn.Linear) -> Tensor:
    """The absolute value of each weight."""
    return linear.weight.detach().abs()


@torch.no_grad()
def input_norms(
    model: PreTrainedModel, linears: Mapping[str, nn.Linear], batches: Sequence[Batch]
) -> dict[str, Tensor]:
    """The 2-norm of each input feature over all real tokens (Sun et al. 2023, arXiv:2306.11695).

    Args:
        model: The model that `linears` belong to, run in eval mode.
        linears: Matrices by name.
        batches: Rows that the model is run on.

    Returns:
        By matrix, a norm for each of its columns.
    """
    squares = {
        name: linear.weight.new_zeros(linear.in_features) for name, linear in linears.items()
    }
    real = torch.empty(0)

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            squares[name] += inputs[0][real].square().sum(dim=0)

        return add

    handles = [lin.register_forward_pre_hook(watch(name)) for name, lin in linears.items()]
    model.eval()
    try:
        for batch in batches:
            real = batch.inputs["attention_mask"].bool()
            model(**batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {name: total.sqrt() for name, total in squares.items()}


@dataclass(frozen=True)
class CubicSchedule:
    """Density over the steps of a training (Zhu and Gupta 2017, arXiv:1710.01878).

    The density falls as d + (i − d)·(1 − x)³ from `initial` i to the target d while x goes from 0
    to 1 between `begin` and `end`, in about `events` cuts, at most one a step, the last exactly at
    the target. Where `initial` is below 1, one more cut at `begin` jumps to it; where the target is
    not below `initial`, that cut meets it.

    Attributes:
        begin: Share of the steps before the first cut.
        end: Share of the steps after which the target is met.
        events: Number of cuts, the one to `initial` not counted.
        initial: Density that the cubic begins at.
    """

    begin: float = 0.0
    end: float = 1.0
    events: int = 100
    initial: float = 1.0

    def densities(self, total_steps: int, final: float) -> dict[int, float]:
        """The cuts of a training: density to cut to, by the number of steps made.

        Args:
            total_steps: Optimizer steps of the training.
            final: Density at the end, 0–1.
        """
        begin = round(self.begin * total_steps)
        span = max(1, round(self.end * total_steps) - begin)
        events = min(self.events, span)
        cuts = {} if self.initial == 1 else {begin: self._density(0.0, final)}
        for event in range(1, events + 1):
            step = min(total_steps, begin + -(-event * span // events))
            cuts[step] = self._density(event / events, final)
        return cuts

    def density_after(self, steps: int, total_steps: int, final: float) -> float:
        """The density after so many steps, for cuts that come at steps of their own.

        Args:
            steps: Optimizer steps made.
            total_steps: Optimizer steps of the training.
            final: Density at the end, 0–1.
        """
        begin = round(self.begin * total_steps)
        span = max(1, round(self.end * total_steps) - begin)
        return 1.0 if steps < begin else self._density(min((steps - begin) / span, 1.0), final)

    def _density(self, progress: float, final: float) -> float:
        return final + (max(self.initial, final) - final) * (1 - progress) ** 3


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

    def to(self, device: torch.device) -> None:
        """Follows the model to a device."""
        self.kept = {name: kept.to(device) for name, kept in self.kept.items()}

    @classmethod
    def of_zeros(cls, model: PreTrainedModel) -> Masks:
        """Masks that keep all but what is zero already: they lock the pattern of a sparse model."""
        masks = cls(model)
        masks.kept = {name: linear.weight != 0 for name, linear in masks.linears.items()}
        return masks

    def cut(self, scores: Mapping[str, Tensor], density: float, scope: Scope = "local") -> None:
        """Keeps the weights of the highest scores among those that were still kept.

        Args:
            scores: A score a weight, by matrix.
            density: Share of all prunable weights to keep, 0–1.
            scope: Among which weights the highest are taken.
        """
        before = dict(self.kept)  # which `choose` changes in place
        alive = {name: scores[name].masked_fill(~kept, -torch.inf) for name, kept in before.items()}
        self.choose(alive, density, scope)
        self.kept = {name: kept & before[name] for name, kept in self.kept.items()}

    def choose(self, scores: Mapping[str, Tensor], density: float, scope: Scope = "local") -> None:
        """Keeps the weights of the highest scores, whatever was kept before.

        The number kept is exact, ties included. Matrices without scores stay as they are.

        Args:
            scores: A score a weight, by matrix.
            density: Share of the scored weights to keep, 0–1.
            scope: Among which weights the highest are taken.
        """
        flat = {name: score.detach().flatten() for name, score in scores.items()}
        if scope == "global":
            counts = keep_counts([score.numel() for score in flat.values()], density)
            best = _best(torch.cat(list(flat.values())), sum(counts))
            parts = best.split([score.numel() for score in flat.values()])
        elif scope == "row":
            rows = _row_counts(list(scores.values()), density)
            parts = tuple(
                _best_of_rows(score.detach(), count)
                for score, count in zip(scores.values(), rows, strict=True)
            )
        else:
            counts = keep_counts([score.numel() for score in flat.values()], density)
            parts = tuple(
                _best(score, count) for score, count in zip(flat.values(), counts, strict=True)
            )
        for name, part in zip(scores, parts, strict=True):
            self.kept[name] = part.view_as(self.kept[name])

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


def _row_counts(matrices: Sequence[Tensor], density: float) -> tuple[Tensor, ...]:
    """How many weights each row of each matrix keeps, which may be none.

    What the fractions leave over goes to rows that are scattered evenly, so that no matrix of a
    width gets more of it than the others.
    """
    widths = [matrix.shape[1] for matrix in matrices for _ in matrix]
    scattered = sorted(range(len(widths)), key=lambda row: row * GOLDEN_RATIO % 1)
    counts = torch.zeros(len(widths), dtype=torch.long)
    counts[scattered] = torch.tensor(
        keep_counts([widths[row] for row in scattered], density, least=0)
    )
    by_matrix: tuple[Tensor, ...] = counts.split([len(matrix) for matrix in matrices])
    return by_matrix


def _best_of_rows(scores: Tensor, counts: Tensor) -> Tensor:
    """A mask of the highest scores of each row, as many as `counts` says for it."""
    places = scores.argsort(dim=1, descending=True).argsort(dim=1)
    return places < counts.to(scores.device)[:, None]


class MaskedTraining(Callback):
    """Holds weights at zero where the masks say so, through every step.

    Args:
        masks: The masks; they may change during the training.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = masks

    def start(self, training: Training) -> None:
        """Applies the masks before the first step."""
        self.masks.to(training.model.device)
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
        """Lays out the cuts over the steps of this training; one may come before the first step."""
        super().start(training)
        self._cuts = self.schedule.densities(training.total_steps, self.density)
        if 0 in self._cuts:
            self._cut(self._cuts[0])
            self.masks.apply()

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
