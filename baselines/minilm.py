"""MiniLM: a small dense model that learns how the last layer relates tokens (Wang et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench
from bench import MethodInfo, Run

from .students import DistilledParams, Small, distil_in_general, new_student

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class MiniLM(Small):
    """Distil the encoder's last self-attention into a small dense model, then fine-tune it.

    General distillation alone: the *pre-trained* encoder teaches on unlabelled text, by how its
    last layer's queries relate to keys and its values to one another. Nothing of it depends on
    width or depth, so that no layer is mapped and no state projected. The task has labels only.

    Stage 1 starts from the same weights as that of `tinybert` and is as long, where the paper's is
    as long as a pre-training. The teacher assistant, which the paper puts between models of very
    different size, is left out. What follows the last layer's values learns from labels only.
    """

    info = MethodInfo(
        name="minilm",
        summary="distil the last layer's attention and value relations, then fine-tune",
        kind="small",
        removes="layers, width and neurons",
        starts_from="pretrained",
        teacher="pretrained",
        paper="arXiv:2002.10957",
    )

    Params = DistilledParams

    def compress(self, run: Run, params: DistilledParams) -> PreTrainedModel:
        """Stage 1 (kept for all cells), then the task's labels."""
        student, _ = new_student(run, params)
        distil_in_general(run, params, student, lambda alone: _stage_1(alone, params))
        run.train(student, loss=bench.task_loss, params=params)
        return student


def _stage_1(run: Run, params: DistilledParams) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    """A student that learns the pre-trained encoder's relations, and nothing else."""
    student, _ = new_student(run, params)
    loss = _relation_loss(run.pretrained_teacher())
    run.train_general(student, loss=loss, epochs=params.general_epochs)
    return student, {}


def _relation_loss(teacher: PreTrainedModel) -> bench.Loss:
    """The last layers' relations, of queries with keys and of values with values."""

    def loss(student: PreTrainedModel, batch: bench.Batch) -> Tensor:
        own, wanted = bench.last_relations(student, batch), bench.last_relations(teacher, batch)
        return bench.relation_loss(own, wanted, batch.inputs["attention_mask"])

    return loss
