"""Second-order pruning after the fine-tuning (Kurtic et al. 2022, arXiv:2203.07259)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear
    from transformers import PreTrainedModel

ROWS = 16
"""Rows of a batch whose mean gradient enters the Fisher matrix, as in the authors' code."""

CHUNK = 16
"""Gradients that enter it at once: blocks are then read and written once for so many."""

CACHED = 2**20
"""Numbers of the blocks that are worked on at a time: few enough to stay in the cache."""


class ObertPruning(Method):
    """Remove the weights that cost the least loss, let the others make up for them, fine-tune on.

    Around the fine-tuned weights the loss is taken for a parabola whose curvature is the empirical
    Fisher matrix, block by block along the rows of each matrix:

        F = λI + (1/m) Σ g gᵀ over m gradients of small batches,

    so that to remove weight i costs ρ = w²/(2 [F⁻¹]ᵢᵢ), and when the weights Q of a block are
    removed the others are best moved by δw = −F⁻¹E_Q ([F⁻¹]_QQ)⁻¹ w_Q. The authors' code takes
    [F⁻¹]_QQ for diagonal there, as if each weight went alone; here it is solved whole. The paper
    spreads its cuts over the training; here all come before it, as in its one-shot experiments.
    """

    info = MethodInfo(
        name="obert",
        summary="remove what costs the least loss in second order, adjust the rest, fine-tune on",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="finetuned",
        paper="arXiv:2203.07259",
        paper_steps=368_160,  # MNLI: 30 epochs of 12,272 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """What can be tuned or pinned beside the training itself."""

        dampening: float = knob(
            1e-7, low=1e-10, high=1e-2, log=True, help="λ, added to the Fisher's diagonal"
        )
        scope: Literal["local", "global"] = knob(
            "global", choices=("local", "global"), help="one threshold a matrix, or one for all"
        )
        cuts: int = knob(
            4, low=1, high=64, tuned=False, help="steps to the target, each with a new Fisher"
        )
        gradients: int = knob(
            256, low=1, high=65536, tuned=False, help="batches of 16 rows that a Fisher is made of"
        )
        block: int = knob(
            50, low=1, high=1024, tuned=False, help="neighbouring weights that are seen together"
        )
        memory_gb: float = knob(
            2.0, low=0.001, high=1024.0, tuned=False, help="for the blocks; less means more passes"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Cuts in steps of equal size, then trains under fixed masks."""
        model = run.finetuned()
        masks = _prune(run, model, params)
        loss = bench.loss_for(run, params)
        run.train(model, loss=loss, params=params, callbacks=[bench.MaskedTraining(masks)])
        return model


def _prune(run: Run, model: PreTrainedModel, params: ObertPruning.Params) -> bench.Masks:
    """Removes weights and moves the others, cut by cut, until the target is met."""
    import torch

    density = run.target.density(model)
    groups = block_groups(bench.prunable(model).values(), params.block, params.memory_gb)
    # The masks depend on the costs of all groups, so that for the update every group but the last
    # is inverted a second time. A gradient is worth three forward passes.
    passes = 3 * (2 * len(groups) - 1) * params.cuts
    batches = run.sample(model, ROWS * params.gradients, passes=passes, batch_size=ROWS)
    masks = bench.Masks(model)
    shape = (groups[0].stop, params.block, params.block)
    memory = torch.empty(shape, dtype=torch.float64, device=model.device)

    def inverse_of(group: slice, kept: Mapping[str, Tensor]) -> Tensor:
        found = fisher_gradients(model, kept, batches, params.block, group)
        return fisher_inverse(found, params.dampening, memory[: group.stop - group.start])

    for cuts_left in reversed(range(params.cuts)):
        before = dict(masks.kept)
        weights = to_blocks((lin.weight.detach() for lin in masks.linears.values()), params.block)
        costs = torch.empty_like(weights)
        for group in groups:
            inverse = inverse_of(group, before)
            costs[group] = saliency(weights[group], inverse)
        share = density + (1 - density) * cuts_left / params.cuts
        masks.cut(from_blocks(costs, before), share, params.scope)

        removed = to_blocks((before[n] & ~kept for n, kept in masks.kept.items()), params.block)
        for group in reversed(groups):
            if group != groups[-1]:
                inverse = inverse_of(group, before)
            weights[group] += update(weights[group], inverse, removed[group])
        with torch.no_grad():
            for name, moved in from_blocks(weights, before).items():
                masks.linears[name].weight.copy_(moved)
        masks.apply()
        run.log(f"{share:.2%} of the weights are left")
    return masks


def fisher_gradients(
    model: PreTrainedModel,
    kept: Mapping[str, Tensor],
    batches: Iterable[bench.Batch],
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
    import torch

    linears = bench.prunable(model)
    model.eval()
    for batch in batches:
        loss = bench.task_loss(model, batch)
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
    """
    import torch

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
        fisher.copy_(torch.cholesky_inverse(torch.linalg.cholesky(fisher)))
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
    """
    import torch

    change = torch.empty_like(weights)
    size = _blocks_at_a_time(inverse)
    parts = zip(*(t.split(size) for t in (change, weights, inverse, removed)), strict=True)
    for moved, old, whole, gone in parts:
        chosen = gone.double()
        # [F⁻¹]_QQ, with the identity in the rows of all others, so that blocks are of one size
        inner = whole * chosen.unsqueeze(1) * chosen.unsqueeze(2)
        inner.diagonal(dim1=1, dim2=2).add_(1 - chosen)
        wanted = (old * chosen).unsqueeze(2)
        pull = torch.cholesky_solve(wanted, torch.linalg.cholesky(inner))
        moved.copy_(-(whole @ pull).squeeze(2))
    return change


def block_groups(linears: Iterable[Linear], block: int, memory_gb: float) -> list[slice]:
    """Ranges of blocks whose inverse, with the gradients that wait to enter it, fits in memory."""
    total = sum(-(-linear.weight.numel() // block) for linear in linears)
    bytes_a_block = block * (8 * block + 4 * CHUNK)
    size = max(1, int(memory_gb * 1e9 / bytes_a_block))
    return [slice(begin, min(begin + size, total)) for begin in range(0, total, size)]


def to_blocks(tensors: Iterable[Tensor], block: int) -> Tensor:
    """Matrices cut into blocks along their rows; a last, shorter one is filled up with zeros."""
    import torch

    flat = (tensor.flatten() for tensor in tensors)
    padded = [torch.nn.functional.pad(part, (0, -len(part) % block)) for part in flat]
    return torch.cat(padded).view(-1, block)


def from_blocks(blocks: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices that `to_blocks` has cut up; `like` holds their names and shapes, in order."""
    width = blocks.shape[1]
    parts = blocks.split([-(-tensor.numel() // width) for tensor in like.values()])
    return {
        name: part.flatten()[: tensor.numel()].view_as(tensor)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }


def _blocks_at_a_time(blocks: Tensor) -> int:
    """How many blocks are worked on at a time, `[blocks, block, block]`."""
    return max(1, CACHED // blocks.shape[1] ** 2)
