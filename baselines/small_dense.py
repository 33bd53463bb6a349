"""Small dense models of the wanted size: TinyBERT-style, and without any distillation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bench
from bench import MethodInfo, Run, knob

from .students import DistilledParams, Small, SmallParams, distil_in_general, new_student

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class SmallDense(Small):
    """Cut a small dense model out of the pre-trained encoder and fine-tune it, without a teacher.

    It starts from the same weights as `tinybert`, so that the two differ by distillation alone.
    """

    info = MethodInfo(
        name="small-dense",
        summary="fine-tune a small dense model cut out of the pre-trained encoder",
        kind="small",
        removes="layers, width and neurons",
        starts_from="pretrained",
        control=True,
    )

    Params = SmallParams

    def compress(self, run: Run, params: SmallParams) -> PreTrainedModel:
        """Builds the student and trains it on the task's labels."""
        student, _ = new_student(run, params)
        run.train(student, loss=bench.task_loss, params=params)
        return student


class TinyBERT(Small):
    """Distil the encoder into a small dense one, in general and on the task.

    Stage 1, general distillation: the *pre-trained* encoder teaches on unlabelled text. Stage 2, on
    the task, the *fine-tuned* one: first what lies between input and output (embeddings, hidden
    states, attention scores) at a constant rate, then the prediction, at the same peak, where the
    authors' second is a fifth to three fifths of the first. Warm-up and decay are the second's.
    """

    info = MethodInfo(
        name="tinybert",
        summary="distil into a small dense model: general, intermediate layers, prediction",
        kind="small",
        removes="layers, width and neurons",
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:1909.10351",
        version=3,
        revised_after=("stsb", "demo-sentiment", "demo-paraphrase", "demo-similarity"),
        paper_steps=162_173,  # MRPC, augmented: 7,051 steps × (20 + 3) epochs
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(DistilledParams):
        """How the steps are shared out."""

        intermediate_share: float = knob(
            0.5,
            low=0.1,
            high=0.95,
            help="share of the task's steps on the intermediate losses; the paper's 20 of 23 "
            "epochs go through rows that it augments",
        )

    def student(self, run: Run, params: Params) -> tuple[PreTrainedModel, bench.Projection]:
        """The student before it has learnt anything, and the map to its teacher's states."""
        return new_student(run, params)

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Stage 1 (kept for all cells), then the two phases of stage 2."""
        student, projection = self.student(run, params)
        learnt = distil_in_general(run, params, student, lambda alone: self._stage_1(alone, params))
        if learnt:
            projection.load(learnt)

        teacher = run.teacher()
        run.train(
            student,
            loss=_intermediate_loss(teacher, projection),
            params=dataclasses.replace(params, warmup=0.0, decay="constant"),
            callbacks=[projection],
            share=params.intermediate_share,
        )

        def prediction_loss(student: PreTrainedModel, batch: bench.Batch) -> Tensor:
            own = bench.logits(student, batch)
            if run.task.is_regression:
                return bench.label_loss(own, batch.labels)
            return bench.soft_cross_entropy(own, bench.answer(teacher, batch))

        run.train(
            student,
            loss=prediction_loss,
            params=params,
            share=1 - params.intermediate_share,
            augmented=not run.task.is_regression,  # whose gold figures are of the rows as they were
        )
        return student

    def _stage_1(self, run: Run, params: Params) -> tuple[PreTrainedModel, dict[str, Tensor]]:
        """A student that learns from the pre-trained encoder, and the projection."""
        student, projection = self.student(run, params)
        run.train_general(
            student,
            loss=_intermediate_loss(run.pretrained_teacher(), projection),
            callbacks=[projection],
            epochs=params.general_epochs,
        )
        return student, projection.state()


def _intermediate_loss(teacher: PreTrainedModel, projection: bench.Projection) -> bench.Loss:
    """Embeddings and hidden states through the projection, and attention scores, layer by layer.

    Means are over real tokens and pairs. The released code's, over rows padded to 128 pieces, weigh
    the scores less, the more of a row is padding.
    """

    def loss(student: PreTrainedModel, batch: bench.Batch) -> Tensor:
        own, wanted = bench.look_inside(student, batch), bench.look_inside(teacher, batch)
        mask = batch.inputs["attention_mask"]
        places = bench.layer_map(len(own.scores), len(wanted.scores))
        hidden = [projection(state) for state in own.hidden]
        return bench.hidden_loss(
            hidden, [wanted.hidden[place] for place in places], mask
        ) + bench.score_loss(own.scores, [wanted.scores[place - 1] for place in places[1:]], mask)

    return loss
