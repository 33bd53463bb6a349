"""Structured pruning by the package TextPruner (Yang, Cui and Chen 2022, arXiv:2203.15996)."""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class TextPruner(Method):
    """Let TextPruner's `TransformerPruner` choose heads and neurons of the fine-tuned model.

    It scores them by |∂L/∂w · w| on training rows and masks the least important ones, a share at a
    time; `bench.cut` then removes them for real, and what is left is fine-tuned on.
    """

    info = MethodInfo(
        name="textpruner",
        summary="remove heads and neurons of the fine-tuned model as TextPruner chooses",
        kind="structured",
        removes="attention heads and feed-forward neurons, as many as each layer can spare",
        starts_from="finetuned",
        paper="arXiv:2203.15996",
        requires={"textpruner": "pip install --no-deps textpruner==1.1.post2"},
        families=("bert", "roberta", "electra"),
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """How the choice is made."""

        iterations: int = knob(8, low=1, high=32, help="rounds of scoring and masking")
        samples: int = knob(512, low=1, high=8192, tuned=False, help="rows that scores come from")

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Scores and masks in rounds, removes what is masked, trains what is left."""
        model = run.finetuned()
        heads, neurons = run.target.heads_and_neurons(model.config)
        masks = _masks(run, model, params, heads, neurons)
        kept_heads, kept_neurons = ([row.nonzero().flatten().tolist() for row in m] for m in masks)
        run.log(f"heads a layer: {[len(row) for row in kept_heads]}")
        run.log(f"neurons a layer: {[len(row) for row in kept_neurons]}")
        smaller = bench.cut(run.finetuned(), kept_heads, kept_neurons)
        run.train(smaller, loss=bench.loss_for(run, params), params=params)
        return smaller


def _labels(run: Run, batch: bench.Batch) -> dict[str, Tensor]:
    """Labels by the names that the model's own loss takes them by."""
    if not run.task.finds_spans:
        return {"labels": batch.labels}
    begins, ends = batch.labels.unbind(dim=1)
    return {"start_positions": begins, "end_positions": ends}


def _masks(
    run: Run, model: PreTrainedModel, params: TextPruner.Params, heads: int, neurons: int
) -> tuple[Tensor, Tensor]:
    """What stays, `[layers, heads]` and `[layers, neurons]`; spoils `model`."""
    shape = bench.shape_of(model.config)
    rounds = params.iterations
    batches = [
        {**batch.inputs, **_labels(run, batch)}
        for batch in run.sample(model, params.samples, passes=3 * (rounds + 1))
    ]
    with (
        tempfile.TemporaryDirectory() as folder,  # it would take scores that lie there for its own
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        from textpruner import GeneralConfig, TransformerPruner, TransformerPruningConfig

        pruner = TransformerPruner(
            model,
            # Its means a layer need not be whole numbers: only their sums over the layers count.
            TransformerPruningConfig(
                target_num_of_heads=Fraction(max(heads, 1), shape.layers),
                target_ffn_size=Fraction(neurons, shape.layers),
                pruning_method="iterative",
                n_iters=rounds,
                head_even_masking=False,
                ffn_even_masking=False,
            ),
            GeneralConfig(use_device=str(model.device), output_dir=folder),
        )
        pruner.prune(batches, keep_shape=True, save_model=False)
        scores = pruner.get_importance_score(batches)
    model.config.problem_type = None  # the model's own loss has set it
    return tuple(
        _trim(mask, score.cpu(), wanted)
        for mask, score, wanted in zip(
            (pruner.head_mask, pruner.ffn_mask), scores, (heads, neurons), strict=True
        )
    )  # type: ignore[return-value]


def _trim(mask: Tensor, scores: Tensor, wanted: int) -> Tensor:
    """Takes the least important off where TextPruner left more than was wanted.

    Of its own accord it gives one back to a layer that would lose all its heads or neurons.
    """
    kept = mask.bool().flatten()
    order = scores.flatten().masked_fill(~kept, -1.0).argsort(descending=True, stable=True)
    trimmed = kept.clone()
    trimmed[order[wanted:]] = False
    return trimmed.view_as(mask)
