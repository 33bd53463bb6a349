"""PLATON (Zhang et al. 2022, arXiv:2206.12562)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Platon(Method):
    """Keep the weights that matter to the loss, or of which that is not yet known.

    A weight's score is its sensitivity |θ·∂L/∂θ|, smoothed over windows of steps, times how much
    that has varied. One threshold over all matrices follows a cubic schedule; no mask lasts while
    it falls, so that a weight may come back; see `bench.SensitivityPruner`.

    The gradient is read where the authors read it, clipped and after the step. Two things differ
    from their code: it chooses tensors by parts of their names, and so scores and prunes the six
    biases of a layer too, which no method does here; and it trains with Adamax, where all methods
    here have AdamW.
    """

    info = MethodInfo(
        name="platon",
        summary="keep what the loss is sensitive to, or may be: weights come back until the end",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        paper="arXiv:2206.12562",
        paper_steps=98_176,  # MNLI: 8 epochs of 12,272 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """The authors' β₁ and window, and what they tune by task."""

        first_phase: float = knob(0.1, low=0.0, high=0.6, help="share of the steps before any cut")
        final_phase: float = knob(0.4, low=0.0, high=0.4, help="share of the steps at the target")
        beta2: float = knob(
            0.95, low=0.5, high=0.99, help="how slowly the uncertainty of a score changes"
        )
        beta1: float = knob(
            0.85, low=0.0, high=0.99, tuned=False, help="how slowly the sensitivity changes"
        )
        window: int = knob(
            10, low=1, high=1000, tuned=False, help="steps that a sensitivity is the mean of"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Trains, scores and prunes together, then holds the target for the last phase."""
        model = run.pretrained()
        pruner = bench.SensitivityPruner(
            model,
            density=run.target.density(model),
            window=params.window,
            beta1=params.beta1,
            beta2=params.beta2,
            schedule=bench.CubicSchedule(begin=params.first_phase, end=1 - params.final_phase),
        )
        run.train(model, loss=bench.loss_for(run, params), params=params, callbacks=[pruner])
        return pruner.finish()
