"""Gradual magnitude pruning (Zhu and Gupta 2017, arXiv:1710.01878)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class MagnitudePruning(Method):
    """Remove the smallest weights a little at a time while the pre-trained model is fine-tuned."""

    info = MethodInfo(
        name="magnitude",
        summary="remove the smallest weights little by little during fine-tuning",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        paper="arXiv:1710.01878",
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """What can be tuned beside the training itself."""

        final_phase: float = knob(
            0.3, low=0.0, high=0.6, help="share of the steps after the last cut"
        )
        scope: Literal["local", "global"] = knob(
            "local", choices=("local", "global"), help="one threshold a matrix, or one for all"
        )
        init: Literal["pretrained", "finetuned"] = knob(
            "pretrained", choices=("pretrained", "finetuned"), tuned=False, help="where it starts"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Prunes along the cubic schedule, then trains what is left."""
        model = run.pretrained() if params.init == "pretrained" else run.finetuned()
        pruner = bench.GradualPruner(
            model,
            density=run.target.density(model),
            criterion=bench.magnitude,
            schedule=bench.CubicSchedule(end=1 - params.final_phase),
            scope=params.scope,
        )
        run.train(model, loss=bench.loss_for(run, params), params=params, callbacks=[pruner])
        return pruner.finish()
