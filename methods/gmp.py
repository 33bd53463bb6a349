"""Gradual magnitude pruning, tuned, after GMP* (Kurtic and Alistarh 2022, arXiv:2210.06384)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class GradualMagnitude(Method):
    """Remove the smallest of all weights at a full rate under a teacher, then let the rate fall.

    What a careful engineer would make of magnitude pruning. Its paper shows how far schedules and
    distillation take the plain criterion; the paper's values are not at hand, so that all are ours.
    Two phases: weights go along the cubic while the rate stays at its peak, and once the target is
    met the rate falls. The loss is the teacher's alone, as in oBERT's recipes. Tried on the demo
    alone: no first cut, and a rate that is rewound three times, were no better (docs/tried.md).
    """

    info = MethodInfo(
        name="gmp",
        summary="remove the smallest of all weights at a full rate, then let it fall; taught",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        teacher="finetuned",
        revised_after=("demo-sentiment", "demo-paraphrase", "demo-similarity"),
        paper="arXiv:2210.06384",
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """What can be tuned or pinned beside the training itself."""

        warmup: float = knob(
            0.1, low=0.0, high=0.2, help="share of the first phase with a rising rate"
        )
        decay: str = knob("linear", choices=("linear", "constant"), help="shape after the cuts")
        final_phase: float = knob(
            0.3, low=0.0, high=0.6, help="share of the steps after the last cut"
        )
        scope: Literal["local", "global"] = knob(
            "global", choices=("local", "global"), help="one threshold a matrix, or one for all"
        )
        first_cut: float = knob(
            0.5, low=0.0, high=0.7, help="share of the weights that goes before the first step"
        )
        init: Literal["pretrained", "finetuned"] = knob(
            "pretrained", choices=("pretrained", "finetuned"), tuned=False, help="where it starts"
        )
        teacher: Literal["none", "finetuned"] = knob(
            "finetuned", choices=("none", "finetuned"), tuned=False, help="who gives soft labels"
        )
        teacher_share: float = knob(
            1.0, low=0.0, high=1.0, tuned=False, help="weight of the teacher in the loss"
        )
        temperature: float = knob(2.0, low=0.5, high=10.0, tuned=False, help="of the soft labels")

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Prunes along the cubic at the peak rate, then trains under fixed masks as it decays."""
        model = run.pretrained() if params.init == "pretrained" else run.finetuned()
        pruner = bench.GradualPruner(
            model,
            density=run.target.density(model),
            criterion=bench.magnitude,
            schedule=bench.CubicSchedule(initial=1 - params.first_cut),
            scope=params.scope,
        )
        loss = bench.loss_for(
            run, params, share=params.teacher_share, temperature=params.temperature
        )
        steady = dataclasses.replace(params, decay="constant")
        run.train(model, loss=loss, params=steady, callbacks=[pruner], share=1 - params.final_phase)
        pruner.finish()
        if params.final_phase:
            falling = dataclasses.replace(params, warmup=0.0)
            masked = bench.MaskedTraining(pruner.masks)
            run.train(
                model, loss=loss, params=falling, callbacks=[masked], share=params.final_phase
            )
        return model
