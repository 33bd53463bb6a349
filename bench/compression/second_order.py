"""The Optimal Brain Surgeon on blocks of weights (oBERT: Kurtic et al. 2022, arXiv:2203.07259).

Around the weights at hand the loss is taken for a parabola whose curvature is the empirical Fisher
matrix, block by block along the rows of each matrix:

    F = λI + (1/m) Σ g gᵀ over m gradients of small batches,

so that to remove weight i costs ρ = w²/(2 [F⁻¹]ᵢᵢ), and when the weights Q of a block are removed
the others are best moved by δw = −F⁻¹E_Q ([F⁻¹]_QQ)⁻¹ w_Q.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.compression.losses import task_loss
from bench.compression.masks import Masks, Scope
from bench.errors import DivergedError
from bench.models.families import prunable
from bench.models.footprint import TRAINED_PASS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch

CHUNK = 16
"""Gradients that enter a Fisher matrix at once: blocks are then read and written once for them."""

CACHED = 2**20
"""Numbers of the blocks that are worked on at a time: few enough to stay in the cache."""


class OptimalBrainSurgeon:
    """Removes the weights that cost the least loss in second order, and moves the others.

    Attributes:
        masks: Which weights are kept; `bench.MaskedTraining` holds the others at zero.
        passes: Forward passes over its batches that a cut is worth.

    Args:
        model: The model, changed in place.
        dampening: λ, added to the Fisher matrix's diagonal.
        block: Neighbouring weights of a row that are seen together.
        memory_gb: For the blocks' matrices; where they do not fit, they are computed group by
            group, each from all gradients anew.
    """

    def __init__(
        self, model: PreTrainedModel, *, dampening: float, block: int, memory_gb: float
    ) -> None:
        self.model = model
        self.dampening = dampening
        self.block = block
        self.masks = Masks(model)
        self._groups = block_groups(self.masks.linears.values(), block, memory_gb)
        # The masks depend on the costs of all groups, so that for the update every group but the
        # last is inverted a second time.
        self.passes = TRAINED_PASS * (2 * len(self._groups) - 1)

    def cut(self, batches: Sequence[Batch], density: float, scope: Scope = "local") -> None:
        """Removes weights by a new Fisher matrix, and moves those of their blocks that stay.

        Args:
            batches: Rows; each batch is one gradient.
            density: Share of all prunable weights to keep, 0–1.
            scope: Among which weights the costliest are kept.

        Raises:
            DivergedError: A block is not positive definite.
        """
        self.masks.to(self.model.device)
        before, groups = dict(self.masks.kept), self._groups
        weights = to_blocks(
            (linear.weight.detach() for linear in self.masks.linears.values()), self.block
        )
        memory = torch.empty(
            (groups[0].stop, self.block, self.block), dtype=torch.float64, device=weights.device
        )

        def inverse_of(group: slice) -> Tensor:
            found = fisher_gradients(self.model, before, batches, self.block, group)
            return fisher_inverse(found, self.dampening, memory[: group.stop - group.start])

        costs = torch.empty_like(weights)
        for group in groups:
            inverse = inverse_of(group)
            costs[group] = saliency(weights[group], inverse)
        self.masks.cut(from_blocks(costs, before), density, scope)

        gone = (before[name] & ~kept for name, kept in self.masks.kept.items())
        removed = to_blocks(gone, self.block)
        for group in reversed(groups):
            if group != groups[-1]:
                inverse = inverse_of(group)
            weights[group] += update(weights[group], inverse, removed[group])
        with torch.no_grad():
            for name, moved in from_blocks(weights, before).items():
                self.masks.linears[name].weight.copy_(moved)
        self.masks.apply()


def fisher_gradients(
    model: PreTrainedModel,
    kept: Mapping[str, Tensor],
    batches: Iterable[Batch],
    block: int,
    group: slice,
) -> Iterator[Tensor]:
    """The gradient of the loss to the labels on each batch, without dropout.

    Args:
        model: The model.
        kept: Masks by matrix; removed weights have a gradient of 0, and so no curvature but λ.
        batches: The rows.
        block: Weights of a block.
        group: The blocks that are wanted.

    Returns:
        A gradient a batch, `[blocks, block]`.
    """
    linears = prunable(model)
    model.eval()
    for batch in batches:
        loss = task_loss(model, batch)
        found = torch.autograd.grad(loss, [linears[name].weight for name in kept])
        masked = (gradient * mask for gradient, mask in zip(found, kept.values(), strict=True))
        yield to_blocks(masked, block)[group].clone()  # the rest need not be kept till it is used


def fisher_inverse(gradients: Iterable[Tensor], dampening: float, memory: Tensor) -> Tensor:
    """F⁻¹ of each block, where F = λI + (1/m) Σ g gᵀ.

    The authors apply Woodbury's identity once a gradient. It begins at λ⁻¹, 10⁷ by default, and
    subtracts nearly all of that again: in single precision the diagonal may come out negative.
    The sum itself and its Cholesky factorisation, in double precision, lose no digit that matters,
    and take less time too, since many gradients are added at once.

    Args:
        gradients: m gradients, `[blocks, block]` each.
        dampening: λ.
        memory: Where the result is put, `[blocks, block, block]`, in double precision.

    Returns:
        `memory`.

    Raises:
        DivergedError: A block is not positive definite.
    """
    memory.zero_()
    size = _blocks_at_a_time(memory)
    todo, count = iter(gradients), 0
    while chunk := list(islice(todo, CHUNK)):
        count += len(chunk)
        parts = zip(*(gradient.split(size) for gradient in chunk), strict=True)
        for fisher, columns in zip(memory.split(size), parts, strict=True):
            some = torch.stack(columns, dim=2).double()
            fisher.baddbmm_(some, some.mT)
    for fisher in memory.split(size):
        fisher.div_(count).diagonal(dim1=1, dim2=2).add_(dampening)
        fisher.copy_(torch.cholesky_inverse(_cholesky(fisher)))
    return memory


def saliency(weights: Tensor, inverse: Tensor) -> Tensor:
    """What the loss rises by where a weight goes and the others of its block make up for it.

    Args:
        weights: `[blocks, block]`.
        inverse: F⁻¹, `[blocks, block, block]`.
    """
    return weights.square() / (2 * inverse.diagonal(dim1=1, dim2=2))


def update(weights: Tensor, inverse: Tensor, removed: Tensor) -> Tensor:
    """The change of all weights that costs least among those that take `removed` to zero.

    Args:
        weights: `[blocks, block]`.
        inverse: F⁻¹, `[blocks, block, block]`.
        removed: True for the weights Q, `[blocks, block]`.

    Returns:
        −F⁻¹E_Q ([F⁻¹]_QQ)⁻¹ w_Q, `[blocks, block]`.

    Raises:
        DivergedError: A block is not positive definite.
    """
    change = torch.empty_like(weights)
    size = _blocks_at_a_time(inverse)
    parts = zip(*(t.split(size) for t in (change, weights, inverse, removed)), strict=True)
    for moved, old, whole, gone in parts:
        chosen = gone.double()
        # [F⁻¹]_QQ, with the identity in the rows of all others, so that blocks are of one size
        inner = whole * chosen.unsqueeze(1) * chosen.unsqueeze(2)
        inner.diagonal(dim1=1, dim2=2).add_(1 - chosen)
        wanted = (old * chosen).unsqueeze(2)
        pull = torch.cholesky_solve(wanted, _cholesky(inner))
        moved.copy_(-(whole @ pull).squeeze(2))
    return change


def block_groups(linears: Iterable[nn.Linear], block: int, memory_gb: float) -> list[slice]:
    """Ranges of blocks whose inverse, with the gradients that wait to enter it, fits in memory."""
    total = sum(-(-linear.weight.numel() // block) for linear in linears)
    bytes_a_block = block * (8 * block + 4 * CHUNK)
    size = max(1, int(memory_gb * 1e9 / bytes_a_block))
    return [slice(begin, min(begin + size, total)) for begin in range(0, total, size)]


def to_blocks(tensors: Iterable[Tensor], block: int) -> Tensor:
    """Matrices cut into blocks along their rows; a last, shorter one is filled up with zeros."""
    flat = (tensor.flatten() for tensor in tensors)
    padded = [nn.functional.pad(part, (0, -len(part) % block)) for part in flat]
    return torch.cat(padded).view(-1, block)


def from_blocks(blocks: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices that `to_blocks` has cut up; `like` holds their names and shapes, in order."""
    width = blocks.shape[1]
    parts = blocks.split([-(-tensor.numel() // width) for tensor in like.values()])
    return {
        name: part.flatten()[: tensor.numel()].view_as(tensor)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }


def _cholesky(blocks: Tensor) -> Tensor:
    """The lower factor of each block, `[blocks, block, block]`."""
    factors: Tensor
    factors, failed = torch.linalg.cholesky_ex(blocks)
    if failed.any() or not factors.diagonal(dim1=1, dim2=2).isfinite().all():
        raise DivergedError(
            "a block of the Fisher matrix is not positive definite: either a gradient is NaN or "
            "infinite, or dampening is too small for the gradients' size"
        )
    return factors


def _blocks_at_a_time(blocks: Tensor) -> int:
    """How many blocks are worked on at a time, `[blocks, block, block]`."""
    return max(1, CACHED // blocks.shape[1] ** 2)
