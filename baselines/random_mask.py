"""Random masks at the same ratio: what any sensible choice of weights has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TrainParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RandomMask(Method):
    """Draw the weights to keep uniformly in each matrix, then fine-tune what is left."""

    info = MethodInfo(
        name="random-mask",
        summary="keep weights drawn at random before fine-tuning",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        control=True,
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TrainParams):
        """What can be pinned beside the training itself."""

        teacher: Literal["none", "finetuned"] = knob(
            "none", choices=("none", "finetuned"), tuned=False, help="who gives soft labels"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Draws one mask a matrix from the seed and holds it through the training."""
        model = run.pretrained()
        masks = bench.Masks(model)
        masks.cut(bench.random_scores(model, run.seed), run.target.density(model))
        taught = params.teacher == "finetuned"
        loss = bench.taught_loss(run.teacher()) if taught else bench.task_loss
        run.fit(model, loss=loss, params=params, callbacks=[bench.MaskedTraining(masks)])
        return model
