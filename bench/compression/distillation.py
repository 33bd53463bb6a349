"""What a student learns from a teacher: soft labels, hidden states, attention scores, relations.

Every mean is taken over real tokens and real query–key pairs, so that padding changes nothing. The
scores are those before the softmax, which no model hands out by itself: a model that is run by
`look_inside` computes its attention by `bench.models.attention`, which does.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from bench.compression.callbacks import Callback
from bench.compression.contrastive import contrastive_loss
from bench.compression.losses import distilled_loss, logits, logits_from, task_loss
from bench.models.attention import scores_returned
from bench.models.families import layers, shape_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Loss, Training
    from bench.compression.method import Run
    from bench.compression.params import TaughtParams


@dataclass(frozen=True)
class Insides:
    """What one forward pass computed.

    Attributes:
        logits: As `bench.logits` gives them: `[rows, labels]`, or `[rows, 2, pieces]` for spans.
        hidden: The embeddings' output and each layer's, `[rows, pieces, width]`.
        scores: Each layer's q·k/√d before mask and softmax, `[rows, heads, pieces, pieces]`.
    """

    logits: Tensor
    hidden: tuple[Tensor, ...]
    scores: tuple[Tensor, ...]


class Answers(Protocol):
    """What is known already of a teacher's answers; `None` for a batch that it does not know."""

    def logits(self, batch: Batch) -> Tensor | None:
        """Logits, as `bench.logits` gives them."""

    def insides(self, batch: Batch) -> Insides | None:
        """All that a pass computes; zeros for padding."""


_KNOWN = "_bench_answers"


def remember(teacher: PreTrainedModel, answers: Answers) -> None:
    """Lets `look_inside` and `answer` ask for what is known of a teacher before they run it."""
    setattr(teacher, _KNOWN, answers)


def look_inside(model: PreTrainedModel, batch: Batch) -> Insides:
    """Hidden states and attention scores of a model on a batch, padding of no meaning.

    A frozen teacher (`run.teacher()`) builds no graph, so that nothing more is needed for it; what
    it has answered before may come from the disk.
    """
    answers: Answers | None = getattr(model, _KNOWN, None)
    known = answers.insides(batch) if answers else None
    return compute_insides(model, batch) if known is None else known


def answer(teacher: PreTrainedModel, batch: Batch) -> Tensor:
    """A teacher's logits for a batch, as `bench.logits` gives them; or from the disk."""
    answers: Answers | None = getattr(teacher, _KNOWN, None)
    known = answers.logits(batch) if answers else None
    return logits(teacher, batch) if known is None else known


def compute_insides(model: PreTrainedModel, batch: Batch) -> Insides:
    """What `look_inside` gives, from a pass of the model."""
    with scores_returned(model):
        output = model(**batch.inputs, output_hidden_states=True, output_attentions=True)
    return Insides(
        logits_from(output, batch),
        tuple(hidden.float() for hidden in output.hidden_states),
        tuple(scores.float() for scores in output.attentions),
    )


def last_relations(model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """How the last layer's heads relate a text's tokens to one another, padding of no meaning.

    What `MiniLM` (Wang et al. 2020, arXiv:2002.10957) takes from a teacher. Their size is that of
    the text, not of the model, so that models of any depth and width can be compared.

    Returns:
        Queries with keys, q·k/√d, and values with values, v·v/√d, each before any mask and softmax,
        `[rows, heads, pieces, pieces]`.
    """
    last = layers(model)[-1]
    found: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        found.append(output.unflatten(-1, (last.heads, last.head_size)).transpose(1, 2))

    with contextlib.ExitStack() as hooks:
        for linear in (last.query, last.key, last.value):
            hooks.enter_context(linear.register_forward_hook(keep))
        model(**batch.inputs)
    query, key, value = found
    pairs = (query, key), (value, value)
    first, second = (
        torch.matmul(one, other.transpose(2, 3)).float() / math.sqrt(last.head_size)
        for one, other in pairs
    )
    return first, second


def taught_loss(teacher: PreTrainedModel, *, share: float = 0.9, temperature: float = 2.0) -> Loss:
    """A loss for `run.train` in which a teacher's soft labels stand beside the task's own.

    Args:
        teacher: What `run.teacher()` gives.
        share: Weight of the teacher, 0–1; the default is that of movement pruning's best rows.
        temperature: Divides the logits of both.
    """

    def loss(model: PreTrainedModel, batch: Batch) -> Tensor:
        own = logits(model, batch)
        wanted = answer(teacher, batch)
        return distilled_loss(own, wanted, batch.labels, share=share, temperature=temperature)

    return loss


def loss_for(
    run: Run, params: TaughtParams, *, share: float = 0.9, temperature: float = 2.0
) -> Loss:
    """The task's own loss, with soft labels and contrastive terms where `params` ask for them.

    Args:
        run: Lends the teacher.
        params: Say whether there is one, and whether the terms of `contrastive_loss` are added.
        share: See `taught_loss`.
        temperature: See `taught_loss`.
    """
    loss: Loss = task_loss
    if params.teacher != "none":
        loss = taught_loss(run.teacher(), share=share, temperature=temperature)
    return contrastive_loss(run, loss) if params.contrastive else loss


class Projection(Callback):
    """A learned linear map from a student's hidden states to its teacher's wider ones.

    One map serves the embeddings and every layer, as in TinyBERT's released code; as a callback of
    `run.train` it is trained along with the student.

    Args:
        weight: Where it starts, `[teacher's width, student's width]`.
    """

    def __init__(self, weight: Tensor) -> None:
        self.linear = nn.Linear(weight.shape[1], weight.shape[0])
        self.load({"weight": weight, "bias": torch.zeros(weight.shape[0])})

    @classmethod
    def drawn(cls, width: int, teacher: PreTrainedModel) -> Projection:
        """A map from a width that starts from torch's generator, as the teacher's layers did."""
        config = teacher.config
        return cls(torch.randn(config.hidden_size, width) * config.initializer_range)

    def __call__(self, hidden: Tensor) -> Tensor:
        """Maps hidden states, `[rows, pieces, width]`."""
        mapped: Tensor = self.linear(hidden)
        return mapped.float()

    def start(self, training: Training) -> None:
        """Hands the map to the optimizer."""
        self.linear.to(training.model.device)
        self._states = shape_of(training.model.config).layers + 1
        rate = training.optimizer.param_groups[0]["lr"]
        training.optimizer.add_param_group(
            {"params": list(self.linear.parameters()), "lr": rate, "weight_decay": 0.0}
        )

    def forward_flops(self, lengths: NDArray[np.int64]) -> int:
        """Every hidden state of every token goes through the map."""
        return 2 * int(lengths.sum()) * self._states * self.linear.weight.numel()

    def state(self) -> dict[str, Tensor]:
        """Its tensors, `weight` and `bias`."""
        return {name: value.detach() for name, value in self.linear.state_dict().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes tensors over, as `state` gives them."""
        self.linear.load_state_dict(dict(state))
