"""Masked-language-model heads that are fitted on what a frozen encoder says."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.compression.language_model import LanguageModel
from bench.errors import BenchError
from bench.models.checkpoint import load_tokenizer
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.models.masked_lm import head_flops, ordinary_pieces, piece_logits, read_masked_model
from bench.training.batches import EVALUATION_BATCH, batches, collate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel

    from bench.data.encoded import Encoded

PLACES = 128
"""Hidden pieces that the head sees at once, and learns from in a step. It is as wide as the
vocabulary: all of a batch would take more memory than training a small model does, and a record
tells that."""

RATE = 1e-3
"""Of a head that is fitted again."""

FRESH_STEPS = 400
FRESH_RATE = 3e-3
"""Of a head that is drawn anew, and will be trained on: on all-MiniLM-L6-v2 and Wikipedia it then
has 6.4 nats a piece, where word frequencies have 6.9, and a rate of 1e-3 and 200 steps 6.8."""

READINGS = 6
"""Of a short text, at most, other pieces hidden each time: nearly all have been asked for then."""

SEED = 0


class Asked(NamedTuple):
    """The places of hidden pieces.

    Attributes:
        states: What an encoder says there, `[places, width]`, fp32.
        pieces: The pieces that are right, `[places]`.
    """

    states: Tensor
    pieces: Tensor


def fitted(head: PreTrainedModel, known: Asked, steps: int, rate: float = RATE) -> PreTrainedModel:
    """A copy of the head, trained on states: the same places in the same order for every model.

    Its output matrix stays, since it is tied to the pre-trained word embeddings in all families and
    as wide as the vocabulary, for which the text is much too short.

    Args:
        head: As `bench.models.masked_lm.load_head` returns it.
        known: States, and what they have to be taken for.
        steps: Steps of AdamW, on `PLACES` places each.
        rate: Of the first of them; it falls to 0.
    """
    matrix = cast("nn.Linear", head.get_output_embeddings()).weight
    fitted = copy.deepcopy(head, {id(matrix): matrix})
    learnt = [weights.requires_grad_() for weights in fitted.parameters() if weights is not matrix]
    matrix.requires_grad = False
    optimizer = torch.optim.AdamW(learnt, lr=rate, fused=True)
    generator = np.random.default_rng(SEED)
    count = len(known.pieces)
    epochs = -(-steps * PLACES // count)
    order = np.concatenate([generator.permutation(count) for _ in range(epochs)])
    for step, places in enumerate(torch.from_numpy(order[: steps * PLACES]).split(PLACES)):
        chosen = places.to(known.pieces.device)
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        logits = piece_logits(fitted, known.states[chosen])
        nn.functional.cross_entropy(logits, known.pieces[chosen]).backward()
        optimizer.step()
    return fitted


def load_language_model(
    encoder: Path, text: Callable[[], Encoded], *, dropout: float, device: str
) -> tuple[LanguageModel, int]:
    """An encoder with its masked-language-model head.

    Where the checkpoint has no head, as that of a sentence encoder or of ELECTRA's discriminator,
    one is drawn from torch's generator and fitted on the frozen encoder.

    Args:
        encoder: Folder of the encoder.
        text: Gives the unlabelled text that a head is fitted on.
        dropout: Of the encoder, when it is trained.
        device: `cpu` or `cuda`.

    Returns:
        The language model, in eval mode, and the FLOPs of fitting its head.

    Raises:
        BenchError: The tokenizer has no mask, or the library no such head for this encoder.
    """
    tokenizer = load_tokenizer(encoder)
    if tokenizer.mask_token_id is None:
        raise BenchError("the encoder's tokenizer has no mask to hide pieces behind")
    base, head, missing = read_masked_model(encoder, dropout)
    ordinary = torch.from_numpy(ordinary_pieces(tokenizer, base.config.vocab_size))
    model = LanguageModel(base, head, tokenizer.mask_token_id, ordinary)
    return model, _fit_head(model, text(), device) if missing else 0


def _fit_head(model: LanguageModel, text: Encoded, device: str) -> int:
    """Fits the head of a language model on its frozen encoder, and counts the FLOPs of it.

    Its output matrix is the encoder's word embeddings, whatever the configuration says.
    """
    for part in (model.encoder, model.head):
        nn.Module.to(part, device)
    known, flops = _said(model, text, FRESH_STEPS * PLACES)
    matrix = cast("nn.Embedding", model.encoder.get_input_embeddings()).weight
    cast("nn.Linear", model.head.get_output_embeddings()).weight = matrix
    model.head = fitted(model.head, known, FRESH_STEPS, FRESH_RATE)
    matrix.requires_grad = True
    return flops + TRAINED_PASS * head_flops(model.head, FRESH_STEPS * PLACES)


@torch.no_grad()
def _said(model: LanguageModel, text: Encoded, places: int) -> tuple[Asked, int]:
    """What the encoder says at so many hidden places of a text, and the FLOPs of its passes.

    There are fewer places where the text is so short that it would have to be read more often.
    """
    order, draw = np.random.default_rng(SEED), torch.Generator().manual_seed(SEED)
    counts, flops = count_dense(model.encoder), 0
    states: list[Tensor] = []
    pieces: list[Tensor] = []
    read = (batches(text.lengths, EVALUATION_BATCH, order) for _ in range(READINGS))
    for rows in itertools.chain.from_iterable(read):
        question = model.ask(collate(text, rows, model.encoder, model.encoder.device), draw)
        states.append(model.states(question).float())
        pieces.append(question.pieces)
        flops += counts.forward_flops(text.lengths[rows])
        places -= len(question.pieces)
        if places <= 0:
            break
    return Asked(torch.cat(states), torch.cat(pieces)), flops
