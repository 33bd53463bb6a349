"""A method in a few lines: keep a band of each matrix, then fine-tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run, TrainParams, knob

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class FirstHeads(Method):
    """Prefer the weights of the first rows, which belong to the first heads and neurons."""

    info = MethodInfo(
        name="first-heads",
        summary="prefer the weights of the first heads and neurons",
        kind="unstructured",
        removes="single weights of the six matrices of each layer, last rows first",
        starts_from="pretrained",
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TrainParams):
        """How much a row's place counts against a weight's size."""

        steepness: float = knob(0.1, low=0.0, high=1.0, help="how much a row's place counts")

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Prunes along the cubic schedule by size and place."""
        model = run.pretrained()

        def early_rows(name: str, linear: nn.Linear) -> Tensor:
            rows = len(linear.weight)
            place = linear.weight.new_tensor(range(rows)).unsqueeze(1) / rows
            return bench.magnitude(name, linear) * (1 - params.steepness * place)

        pruner = bench.GradualPruner(model, density=run.target.density(model), criterion=early_rows)
        run.train(model, loss=bench.task_loss, params=params, callbacks=[pruner])
        return pruner.finish()
