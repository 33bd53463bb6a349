"""A masked language model in two parts, and texts some of whose pieces it has to name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.compression.callbacks import Callback
from bench.models.masked_lm import SHARE, head_flops, hidden_behind, piece_logits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Training


class Question(NamedTuple):
    """A batch some of whose pieces have to be named.

    Attributes:
        inputs: What a model is shown, as `Batch.inputs`.
        asked: Whether a piece has to be named, `[rows, pieces]`.
        pieces: The right ones, row by row, `[places]`.
    """

    inputs: dict[str, Tensor]
    asked: Tensor
    pieces: Tensor


class LanguageModel(Callback):
    """An encoder, and the head that names pieces which are hidden in a text.

    `run.train_general` trains the encoder; as one of its callbacks, the head is trained along.

    Args:
        encoder: The bare encoder.
        head: As `bench.models.masked_lm.load_head` returns it; its output matrix may be the
            encoder's word embeddings.
        mask: Number of the piece that others are hidden behind.
        ordinary: Numbers of all pieces that may be asked for.
    """

    def __init__(
        self, encoder: PreTrainedModel, head: PreTrainedModel, mask: int, ordinary: Tensor
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.mask = mask
        self.ordinary = ordinary
        self._may_be_asked = torch.zeros(encoder.config.vocab_size, dtype=torch.bool)
        self._may_be_asked[ordinary] = True

    def ask(self, batch: Batch, draw: torch.Generator) -> Question:
        """Hides pieces of a batch as BERT's pre-training does, each with probability `SHARE`.

        Args:
            batch: The rows.
            draw: A generator on the processor; whoever asks twice gets other pieces hidden.
        """
        device = batch.inputs["input_ids"].device
        pieces, real = (batch.inputs[name].cpu() for name in ("input_ids", "attention_mask"))
        chance = torch.rand(pieces.shape, generator=draw)
        chance[~(self._may_be_asked[pieces] & real.bool())] = 1.0
        asked = chance < SHARE
        asked.view(-1)[chance.argmin()] = True  # the mean of no losses would be none
        shown = hidden_behind(self.mask, pieces, asked, self.ordinary, draw)
        inputs = {**batch.inputs, "input_ids": shown.to(device)}
        return Question(inputs, asked.to(device), pieces[asked].to(device))

    def states(self, question: Question) -> Tensor:
        """What the encoder says at the places that are asked for, `[places, width]`."""
        states: Tensor = self.encoder(**question.inputs).last_hidden_state
        return states[question.asked]

    def answer(self, question: Question) -> Tensor:
        """A logit for each piece of the vocabulary, `[places, vocabulary]`."""
        return piece_logits(self.head, self.states(question)).float()

    def start(self, training: Training) -> None:
        """Hands the head to the optimizer, decay on matrices only, as for the model itself."""
        nn.Module.to(self.head, training.model.device)
        known = {id(p) for group in training.optimizer.param_groups for p in group["params"]}
        own = [p for p in self.head.parameters() if id(p) not in known]
        whole, flat = ([p for p in own if (p.ndim > 1) == matrix] for matrix in (True, False))
        first = training.optimizer.param_groups[0]
        for params, decay in ((whole, first["weight_decay"]), (flat, 0.0)):
            training.optimizer.add_param_group(
                {"params": params, "lr": first["lr"], "weight_decay": decay}
            )

    def forward_flops(self, lengths: NDArray[np.int64]) -> int:
        """The head's pass over the share of the pieces that is asked for."""
        return head_flops(self.head, round(SHARE * int(lengths.sum())))
