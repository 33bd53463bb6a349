"""Prune a fine-tuned model once, then fine-tune on: by magnitude, or by weights and activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class OneShotMagnitude(Method):
    """Remove the smallest weights of the fine-tuned model at once, then fine-tune what is left."""

    info = MethodInfo(
        name="one-shot-magnitude",
        summary="remove the smallest weights of the fine-tuned model at once, then fine-tune on",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="finetuned",
        paper="arXiv:1506.02626",
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """What can be tuned beside the training itself."""

        scope: Literal["local", "global"] = knob(
            "local", choices=("local", "global"), help="one threshold a matrix, or one for all"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Cuts once, then trains under fixed masks."""
        model = run.finetuned()
        masks = bench.Masks(model)
        scores = {name: bench.magnitude(name, lin) for name, lin in masks.linears.items()}
        masks.cut(scores, run.target.density(model), params.scope)
        return _fit_on(run, model, masks, params)


class OneShotWanda(Method):
    """Remove weights by size times the norm of their inputs, row by row, then fine-tune on.

    Layer by layer, so that each is judged by the inputs that the layers before it still give.
    """

    info = MethodInfo(
        name="one-shot-wanda",
        summary="remove weights by size times input norm at once, then fine-tune on",
        kind="unstructured",
        removes="single weights of the six matrices of each layer, the same share of every row",
        starts_from="finetuned",
        paper="arXiv:2306.11695",
        version=2,
        revised_after=(),  # rows of a matrix share what rounding leaves: found by reading
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """What can be pinned beside the training itself."""

        samples: int = knob(128, low=1, high=4096, tuned=False, help="rows that inputs come from")

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Scores |W|·‖X‖ and cuts one layer after the other, then trains under fixed masks."""
        model = run.finetuned()
        density = run.target.density(model)
        depth = len(bench.layers(model))
        batches = run.sample(model, params.samples, passes=depth)
        masks = bench.Masks(model)
        for number in range(depth):
            names = {
                name: linear
                for name, linear in masks.linears.items()
                if linear in bench.layers(model)[number].matrices.values()
            }
            norms = bench.input_norms(model, names, batches)
            scores: dict[str, Tensor] = {
                name: bench.magnitude(name, linear) * norms[name] for name, linear in names.items()
            }
            masks.choose(scores, density, "row")
            masks.apply()
        return _fit_on(run, model, masks, params)


def _fit_on(
    run: Run,
    model: PreTrainedModel,
    masks: bench.Masks,
    params: TaughtParams,
) -> PreTrainedModel:
    """Trains what the masks leave, under the common protocol."""
    loss = bench.loss_for(run, params)
    run.train(model, loss=loss, params=params, callbacks=[bench.MaskedTraining(masks)])
    return model
