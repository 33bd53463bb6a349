"""Random masks at the same ratio: what any sensible choice of weights has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run, TaughtParams

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

    Params = TaughtParams

    def compress(self, run: Run, params: TaughtParams) -> PreTrainedModel:
        """Draws one mask a matrix from the seed and holds it through the training."""
        model = run.pretrained()
        masks = bench.Masks(model)
        masks.cut(bench.random_scores(model, run.seed), run.target.density(model))
        loss = bench.loss_for(run, params)
        run.train(model, loss=loss, params=params, callbacks=[bench.MaskedTraining(masks)])
        return model
