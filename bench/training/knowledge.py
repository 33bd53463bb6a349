"""What a delivered model keeps of what pre-training taught: its masked-language-model loss.

It is measured twice, on the same masked pieces of the same held-out text. The head that the encoder
was pre-trained with understands a model as far as it still says what the pre-trained encoder would
have said. A head that is fitted again on the frozen model understands it, too, where what it knows
lies elsewhere in its hidden states, or where they have another width.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.probe import UNASKED, load_part
from bench.errors import DivergedError
from bench.models.masked_lm import load_head, load_masked_model, piece_logits
from bench.training.batches import EVALUATION_BATCH, collate
from bench.training.word_head import PLACES, Asked, fitted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.data.probe import Part, Probe


STEPS = 200
"""Of fitting the head; docs/knowledge.md has the trial. Whoever changes them, `RIDGE` or what
`bench.training.word_head` does raises `bench.data.probe.VERSION`."""

RIDGE = 1e-4
"""Of the map onto the head's width, times the mean variance of the states."""


@dataclass(frozen=True)
class Losses:
    """Masked-language-model losses on held-out text, in nats a masked piece.

    Attributes:
        plain: Under the pre-trained head as it is; `None` where the model has another width.
        refitted: Under the head that was fitted on the model.
    """

    plain: float | None
    refitted: float


def measure(model: PreTrainedModel, probe: Probe, encoder: Path, device: str) -> Losses | None:
    """What a model's encoder knows of held-out text, in fp32.

    The head is fitted in two steps, on the part of the text that nothing is measured on. A linear
    map is found by least squares from the model's states to those of the pre-trained encoder. Then
    all of the head but its output matrix is trained on the mapped states.

    Args:
        model: Any model of the encoder's vocabulary; its own head is not used. It is left on
            `device`, its weights as they are.
        probe: The masked text.
        encoder: Folder of the pre-trained encoder, whose head it is.
        device: `cpu` or `cuda`.

    Returns:
        The losses, each a mean over all masked pieces; `None` where the vocabulary is another.

    Raises:
        DivergedError: A loss, or what the encoder says, is NaN or infinite.
    """
    head = load_head(encoder)
    if model.config.vocab_size != head.config.vocab_size:
        return None
    nn.Module.to(head, device)
    known, held = (_ask(model, probe, part, device) for part in ("fit", "held_out"))
    wide = held.states.shape[1] == head.config.hidden_size
    plain = _loss(head, held) if wide else None
    if not known.states.isfinite().all():
        raise DivergedError("what the encoder says of the probe's text is NaN or infinite")
    onto = _linear_map(known.states, _pretrained_states(probe, encoder, device))
    own = fitted(head, Asked(onto(known.states), known.pieces), STEPS)
    return Losses(plain, _loss(own, Asked(onto(held.states), held.pieces)))


def floor(probe: Probe, encoder: Path, device: str) -> float:
    """What naming the masked pieces costs who sees nothing of the text around them.

    It is the lower one of two: the frequencies of pieces in the fit part, and the fitted head
    before which all states are the same, which also knows frequencies from its pre-training.

    Returns:
        The loss in nats a masked piece.
    """
    head = load_head(encoder)
    nn.Module.to(head, device)
    states = _pretrained_states(probe, encoder, device)

    def without_context(part: Part) -> Asked:
        targets = torch.from_numpy(load_part(probe.folder, part).targets)
        pieces = targets[targets != UNASKED].to(device)
        return Asked(states.mean(0).expand(len(pieces), -1), pieces)

    blind = _loss(fitted(head, without_context("fit"), STEPS), without_context("held_out"))
    return min(probe.frequencies, blind)


@torch.no_grad()
def _ask(model: PreTrainedModel, probe: Probe, part: Part, device: str) -> Asked:
    """Shows a model one part of the text."""
    rows, targets = (masked := load_part(probe.folder, part)).rows, masked.targets
    model.eval().to(device)
    states, pieces = [], []
    order = np.argsort(rows.lengths, kind="stable")
    for begin in range(0, len(order), EVALUATION_BATCH):
        chosen = order[begin : begin + EVALUATION_BATCH]
        inputs = collate(rows, chosen, model, torch.device(device)).inputs
        flat = [targets[rows.offsets[row] : rows.offsets[row + 1]] for row in chosen]
        wanted = torch.full_like(inputs["input_ids"], UNASKED)
        wanted[inputs["attention_mask"].bool()] = torch.from_numpy(np.concatenate(flat)).to(device)
        asked = wanted != UNASKED
        states.append(model.base_model(**inputs).last_hidden_state[asked].float())
        pieces.append(wanted[asked])
    return Asked(torch.cat(states), torch.cat(pieces))


@functools.lru_cache(maxsize=1)
def _pretrained_states(probe: Probe, encoder: Path, device: str) -> Tensor:
    """What the pre-trained encoder says of the fit part, `[places, width]`."""
    return _ask(load_masked_model(encoder)[0], probe, "fit", device).states


class _LinearMap(NamedTuple):
    """`(states − center) · weight + bias`."""

    center: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return (states - self.center) @ self.weight + self.bias


def _linear_map(states: Tensor, wanted: Tensor) -> _LinearMap:
    """Ridge regression from states, `[places, width]`, to others, `[places, other width]`."""
    center, bias = states.mean(0), wanted.mean(0)
    width = states.shape[1]
    gram = states.new_zeros(width, width, dtype=torch.float64)
    product = states.new_zeros(width, wanted.shape[1], dtype=torch.float64)
    for some, theirs in zip(states.split(1024), wanted.split(1024), strict=True):
        gram += (some - center).double().T @ (some - center).double()
        product += (some - center).double().T @ (theirs - bias).double()
    # Where all states are the same, there is nothing to divide by.
    ridge = (RIDGE * gram.trace() / width).clamp(min=1e-12)
    gram.diagonal().add_(ridge)
    return _LinearMap(center, torch.linalg.solve(gram, product).float(), bias)


@torch.no_grad()
def _loss(head: PreTrainedModel, asked: Asked) -> float:
    """The mean loss over places, in nats."""
    total = 0.0
    for states, pieces in zip(asked.states.split(PLACES), asked.pieces.split(PLACES), strict=True):
        logits = piece_logits(head, states)
        total += nn.functional.cross_entropy(logits, pieces, reduction="sum").item()
    if not np.isfinite(total):
        raise DivergedError("the masked-language-model loss is NaN or infinite")
    return total / len(asked.pieces)
