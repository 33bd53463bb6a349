"""Knowledge-aware sparse pruning (Xu, Yen, Zhao and Xiao 2021, arXiv:2104.08682)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TrainParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class KnowledgeAwarePruning(Method):
    """Prune the *pre-trained* encoder while a *fine-tuned* teacher teaches it the task.

    The student keeps the general knowledge of pre-training; the teacher supplies what the task
    needs, layer by layer, as the smallest weights go. They go until the last step, so that the rate
    is constant by default, as its authors': of one that decays little is left once most weights are
    gone.

    What differs from the authors' code:

    * Means are over real pieces and pairs of them. Theirs are over 128 pieces: hidden states of
      padding count, and the scores of padded queries for real keys (those of padded keys are
      zero). So neither a `hidden_weight` nor a `score_weight` of theirs has the same worth here.
    * One clip of all gradients (theirs is one a parameter), a teacher without dropout, and AdamW:
      theirs corrects no bias, so that its first steps are longer at the same rate.
    * The family's own head. Theirs has a ReLU between pooled state and classifier.
    """

    info = MethodInfo(
        name="knowledge-aware",
        summary="prune the pre-trained encoder while a fine-tuned teacher teaches it",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        teacher="finetuned",
        version=2,
        revised_after=(
            "stsb",
            "sst2",
            "cola",
            "mrpc",
            "demo-sentiment",
            "demo-paraphrase",
            "demo-similarity",
        ),
        paper="arXiv:2104.08682",
        paper_steps=84_612,  # MRPC, augmented: 12 epochs of 7,051 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TrainParams):
        """The authors' schedule, three losses, and the two questions of the paper's analysis."""

        warmup: float = knob(0.0, low=0.0, high=0.2, help="share of the steps with a rising rate")
        decay: str = knob("constant", choices=("linear", "constant"), help="shape after warm-up")
        hidden_weight: float = knob(1.0, low=0.01, high=10.0, log=True, help="of hidden states")
        score_weight: float = knob(1.0, low=0.01, high=10.0, log=True, help="of attention scores")
        label_weight: float = knob(1.0, low=0.01, high=10.0, log=True, help="of the soft labels")
        scope: Literal["local", "global"] = knob(
            "local",
            choices=("local", "global"),
            tuned=False,
            help="the same share of every matrix, as its authors, or one threshold over all",
        )
        init: Literal["pretrained", "finetuned"] = knob(
            "pretrained", choices=("pretrained", "finetuned"), tuned=False, help="where it starts"
        )
        teacher: Literal["finetuned", "none"] = knob(
            "finetuned", choices=("finetuned", "none"), tuned=False, help="who teaches"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Prunes along the cubic schedule over the whole run while the student is taught."""
        student = run.pretrained() if params.init == "pretrained" else run.finetuned()
        pruner = bench.GradualPruner(
            student,
            density=run.target.density(student),
            criterion=bench.magnitude,
            schedule=bench.CubicSchedule(events=100),
            scope=params.scope,
        )
        if params.teacher == "none":
            run.train(student, loss=bench.task_loss, params=params, callbacks=[pruner])
            return pruner.finish()

        teacher = run.teacher()

        def loss(student: PreTrainedModel, batch: bench.Batch) -> Tensor:
            taught = bench.look_inside(student, batch)
            wanted = bench.look_inside(teacher, batch)
            mask = batch.inputs["attention_mask"]
            hidden = bench.hidden_loss(taught.hidden, wanted.hidden, mask)
            scores = bench.score_loss(taught.scores, wanted.scores, mask)
            if run.task.is_regression:
                labels = bench.label_loss(taught.logits, batch.labels)
            else:
                labels = bench.soft_cross_entropy(taught.logits, wanted.logits)
            return (
                params.hidden_weight * hidden
                + params.score_weight * scores
                + params.label_weight * labels
            )

        run.train(student, loss=loss, params=params, callbacks=[pruner])
        return pruner.finish()
