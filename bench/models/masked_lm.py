"""Masked-language modelling: pieces that are hidden, and an encoder and the head that names them.

The head is kept apart from its encoder, so that it sees the states of hidden pieces only: it is as
wide as the vocabulary.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from bench.errors import BenchError
from bench.models.checkpoint import from_folder, read_config
from bench.models.families import family_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHARE = 0.15
"""Of the pieces of a text, how many are asked for (Devlin et al., 2018)."""


@functools.lru_cache(maxsize=1)
def load_head(encoder: Path) -> PreTrainedModel:
    """A masked language model whose encoder is a stand-in for any other.

    Raises:
        BenchError: The checkpoint has no such head.
    """
    return load_masked_model(encoder)[1]


def load_masked_model(encoder: Path) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The encoder of a masked language model, and its head as `load_head` returns it.

    Raises:
        BenchError: The checkpoint has no such head; the message says what is missing.
    """
    base, head, missing = read_masked_model(encoder)
    if missing:
        raise BenchError(
            "the encoder's checkpoint has no masked-language-model head "
            f"(missing: {', '.join(missing)})"
        )
    return base, head


def read_masked_model(
    encoder: Path, dropout: float | None = None
) -> tuple[PreTrainedModel, PreTrainedModel, list[str]]:
    """An encoder and a masked-language-model head, whatever of it the checkpoint lacks drawn anew.

    Args:
        encoder: Folder of the encoder.
        dropout: Its dropout, where it is not to be the checkpoint's own.

    Returns:
        The encoder; the head, whose output matrix is the encoder's word embeddings where the
        configuration ties them; and the names of tensors that were drawn from torch's generator.

    Raises:
        BenchError: The library has no such head for models of this type.
    """
    config = read_config(encoder)
    for name in family_of(config).dropout if dropout is not None else ():
        setattr(config, name, dropout)
    try:
        model, found = from_folder(AutoModelForMaskedLM, encoder, config=config)
    except ValueError:  # no class for such a configuration
        raise BenchError(
            "the encoder's checkpoint has no masked-language-model head (missing: all)"
        ) from None
    model.eval()
    base: PreTrainedModel = model.base_model  # type: ignore[assignment]
    setattr(model, model.base_model_prefix, _StandIn())
    return base, model, sorted(found["missing_keys"])


class _StandIn(nn.Module):
    """Stands where the encoder was, and hands on the hidden states that it was given."""

    hidden: Tensor

    def forward(self, *_: Any, **__: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.hidden)


def piece_logits(head: PreTrainedModel, states: Tensor) -> Tensor:
    """What a head says of hidden states.

    Args:
        head: As `load_head` returns it.
        states: What an encoder says at some places, `[places, width]`.

    Returns:
        A logit for each piece of the vocabulary, `[places, vocabulary]`.
    """
    head.base_model.hidden = states[None]
    nothing = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
    return cast("Tensor", head(input_ids=nothing).logits[0])


def head_flops(head: PreTrainedModel, places: int) -> int:
    """FLOPs of a head's pass over so many places; biases and normalisations count nothing."""
    return 2 * places * sum(p.numel() for p in head.parameters() if p.dim() == 2)


def ordinary_pieces(tokenizer: PreTrainedTokenizerBase, known: int) -> NDArray[np.int64]:
    """The numbers of all pieces but special ones, such as padding or the mask, `[pieces]`.

    Args:
        tokenizer: The tokenizer.
        known: How many pieces the model knows.
    """
    return np.setdiff1d(np.arange(min(len(tokenizer), known)), tokenizer.all_special_ids)


def hidden_behind(
    mask: int, pieces: Tensor, asked: Tensor, ordinary: Tensor, draw: torch.Generator
) -> Tensor:
    """Pieces as BERT's pre-training shows them (Devlin et al., 2018, arXiv:1810.04805).

    Of those that are asked for, 80 % are replaced by the mask and 10 % by a piece drawn at random;
    the others stay, so that no state may be taken for granted.

    Args:
        mask: Number of the mask.
        pieces: Numbers of the pieces, `[rows, pieces]`.
        asked: Whether a piece has to be named, of the same shape.
        ordinary: What may be drawn, as `ordinary_pieces` gives it.
        draw: A generator on the processor, as all tensors here.
    """
    fate = torch.rand(pieces.shape, generator=draw)
    drawn = ordinary[torch.randint(len(ordinary), pieces.shape, generator=draw)]
    shown = torch.where(asked & (fate < 0.9), drawn, pieces)
    return torch.where(asked & (fate < 0.8), mask, shown)
