"""Contrastive pruning: a loss that any pruner can take (CAP, Xu R. et al. 2022, arXiv:2112.07198).

The vector of a sentence is drawn towards those that other models have of the same sentence, and of
sentences with the same label, and away from all others. The other models are the pre-trained one,
the fine-tuned one, and snapshots of the model that is pruned.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bench.models.families import SPAN_HEAD, family_of
from bench.models.heads import marks_spans

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Loss
    from bench.compression.method import Run

TEMPERATURE = 0.1
EXAMPLE_WEIGHT = 0.1
LABEL_WEIGHT = 10.0
OTHERS = 4096
"""The authors' values for QQP and MNLI; `OTHERS` are vectors beside those of a batch, if there are
as many."""

ENCODING_BATCH = 64


def contrastive_loss(run: Run, loss: Loss) -> Loss:
    """A loss for `run.train` with the contrastive terms of CAP beside another loss.

    Every training row's vector is kept from the pre-trained encoder and the reference, and at the
    start of each further epoch from the model itself; the cell is charged for these passes. Beside
    the authors' code: vectors are without dropout, and a batch's rows are not drawn again among the
    others.

    Args:
        run: Lends the two models and the training rows.
        loss: What the terms are added to; it runs the model once.
    """
    return _Contrastive(run, loss)


class _Contrastive:
    """The loss, with its banks of vectors, `[rows, models, width]`."""

    def __init__(self, run: Run, loss: Loss) -> None:
        self._run, self._loss = run, loss
        self._generator = torch.Generator().manual_seed(run.seed)
        teachers = run.pretrained_teacher(), run.teacher()  # which are charged for their passes
        batches = run.sample(teachers[0], batch_size=ENCODING_BATCH, passes=0)
        self._labels = _by_row(batches, [batch.labels for batch in batches])
        self._has_classes = self._labels.dim() == 1 and not self._labels.is_floating_point()
        self._teachers = [_encode(teacher, batches) for teacher in teachers]
        self._snapshots = self._teachers[0][:, :0]
        self._visits = 0
        self._batch: Batch | None = None

    def __call__(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """The other loss and a term a bank; a snapshot first where an epoch begins."""
        if self._visits // len(self._labels) > self._snapshots.shape[1]:
            batches = self._run.sample(model, batch_size=ENCODING_BATCH, passes=1)
            self._snapshots = torch.cat([self._snapshots, _encode(model, batches)], dim=1)
        if batch is not self._batch:  # adversarial training comes with one twice
            self._visits += len(batch.rows)
        self._batch = batch
        with _sentence_vectors(model) as found:
            value = self._loss(model, batch)
        own = nn.functional.normalize(found[-1].float(), dim=-1)
        order = torch.randperm(len(self._labels), generator=self._generator).numpy()
        others = order[~np.isin(order, batch.rows)]
        for bank in (*self._teachers, self._snapshots):
            if models := bank.shape[1]:
                rows = torch.from_numpy(np.concatenate([batch.rows, others[: OTHERS // models]]))
                labels = self._labels[rows] if self._has_classes else None
                value = value + bank_loss(own, bank[rows].to(own.device), labels)
        return value


def bank_loss(own: Tensor, known: Tensor, labels: Tensor | None) -> Tensor:
    """The contrastive terms of one bank.

    A row's vector h has p = softmax(h·z/τ) over all z: the other rows' own vectors, which take no
    gradient, and all known ones. Each term is −log p over the row's positives: what is known of the
    same example, and all with the same label. As in the authors' code, the mean over positives is
    divided by their number once more: of thousands with the same label each counts little.

    Args:
        own: Normalised vectors of a batch, `[rows, width]`.
        known: The bank's, first of the same rows, then of others, `[rows + others, models, width]`.
        labels: Class numbers, `[rows + others]`; regressions and spans have none, and then no such
            term.
    """
    rows, models = len(own), known.shape[1]
    among = own @ own.detach().T
    among.fill_diagonal_(-torch.inf)
    products = torch.cat([among, own @ known.flatten(0, 1).T], dim=1) / TEMPERATURE
    log_p = products.log_softmax(dim=-1)
    same_example: Tensor = log_p[:, rows:].unflatten(1, (-1, models)).diagonal()
    loss = -EXAMPLE_WEIGHT * same_example.mean() / models
    if labels is not None:
        of_all = torch.cat([labels[:rows], labels.repeat_interleave(models)]).to(own.device)
        same_label = of_all[:rows, None] == of_all
        same_label[:, :rows].fill_diagonal_(False)
        counts = same_label.sum(dim=1)
        means = log_p.masked_fill(~same_label, 0.0).sum(dim=1) / counts
        loss = loss - LABEL_WEIGHT * means.sum() / counts.sum()
    return loss


@contextlib.contextmanager
def _sentence_vectors(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Collects what passes hand to the classifier, `[rows, width]`.

    That is the pooled state where a family has one (BERT), and else the first token's last state,
    as it is where a head marks spans.
    """
    found: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        found.append(args[0][:, 0] if spans else args[0])

    spans = marks_spans(model)
    head = SPAN_HEAD if spans else family_of(model).head[0]
    with model.get_submodule(head).register_forward_pre_hook(keep):
        yield found


@torch.no_grad()
def _encode(model: PreTrainedModel, batches: Sequence[Batch]) -> Tensor:
    """Normalised vectors of all training rows without dropout, `[rows, 1, width]`."""
    training = model.training
    model.eval()
    with _sentence_vectors(model) as found:
        for batch in batches:
            model(**batch.inputs)
    model.train(training)
    return _by_row(batches, [nn.functional.normalize(v.float(), dim=-1) for v in found])[:, None]


def _by_row(batches: Sequence[Batch], values: Sequence[Tensor]) -> Tensor:
    """Values of batches in the order of the training rows."""
    rows = np.concatenate([batch.rows for batch in batches])
    return torch.cat(list(values)).cpu()[torch.from_numpy(np.argsort(rows))]
