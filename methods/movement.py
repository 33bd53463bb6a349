"""Movement pruning (Sanh, Wolf and Rush 2020, arXiv:2005.07683)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class MovementParams(TaughtParams):
    """What hard and soft movement pruning share: schedule and distillation."""

    first_phase: float = knob(0.1, low=0.0, high=0.6, help="share of the steps before any cut")
    final_phase: float = knob(0.3, low=0.0, high=0.4, help="share of the steps at the target")
    teacher: Literal["finetuned", "none"] = knob(
        "finetuned", choices=("finetuned", "none"), tuned=False, help="who teaches"
    )
    teacher_share: float = knob(
        0.9, low=0.0, high=1.0, tuned=False, help="weight of the teacher in the loss"
    )
    temperature: float = knob(2.0, low=0.5, high=10.0, tuned=False, help="of the soft labels")
    init: Literal["pretrained", "finetuned"] = knob(
        "pretrained", choices=("pretrained", "finetuned"), tuned=False, help="where it starts"
    )
    embeddings: Literal["trained", "frozen"] = knob(
        "trained", choices=("trained", "frozen"), tuned=False, help="frozen, as by its authors"
    )


class MovementPruning(Method):
    """Keep the weights that move away from zero while the pre-trained model is fine-tuned.

    The *hard* variant: the share of the highest scores that is kept falls along a cubic schedule.

    As in the paper and its authors' code: straight-through gradients of scores and weights, scores
    that start at zero under an Adam of their own without decay, masks that may take a weight back,
    the cubic schedule, and a teacher with a share of 0.9 at temperature 2.

    What differs:

    * The embeddings are trained, as for every method here. `embeddings=frozen` is the authors' way.
    * Phases are shares of the steps at hand. The authors' first cut comes at step 12,000 of 73,632.
      After that share of a short run a model has learnt nothing yet that weights could move
      towards, so `first_phase` may be longer (docs/tried.md).
    * The density changes at most 100 times. Theirs changes with every step.
    """

    info = MethodInfo(
        name="movement",
        summary="keep the weights that fine-tuning moves away from zero (hard, top-v)",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:2005.07683",
        version=2,
        revised_after=("stsb", "demo-sentiment", "demo-paraphrase", "demo-similarity"),
        paper_steps=73_632,  # MNLI: 6 epochs of 12,272 steps
        works_from=972,  # STS-B at 20×: docs/tried.md
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(MovementParams):
        """Scope and scores, whose rate does not change which are highest."""

        scope: Literal["local", "global"] = knob(
            "local", choices=("local", "global"), help="top-v of each matrix, or of all"
        )
        score_learning_rate: float = knob(
            1e-2,
            low=1e-4,
            high=1.0,
            log=True,
            tuned=False,
            help="of the scores; they start at zero and only their order counts",
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Learns scores and weights together while the share that is kept falls."""
        model = run.pretrained() if params.init == "pretrained" else run.finetuned()
        pruner = bench.MovementPruner(
            model,
            density=run.target.density(model),
            score_learning_rate=params.score_learning_rate,
            schedule=bench.CubicSchedule(begin=params.first_phase, end=1 - params.final_phase),
            scope=params.scope,
        )
        return _trained(run, params, pruner)


class SoftMovementPruning(Method):
    """Keep the weights whose score passes a threshold while a regulariser pulls the scores down.

    The regulariser follows the density of the cubic schedule, and one hard cut before the last
    phase settles the exact one; see `bench.SoftMovementPruner`.
    """

    info = MethodInfo(
        name="soft-movement",
        summary="keep the weights whose learnt score passes a threshold (soft, regularised)",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:2005.07683",
        version=3,
        revised_after=("demo-sentiment", "demo-paraphrase", "demo-similarity"),
        paper_steps=73_632,  # MNLI: 6 epochs of 12,272 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(MovementParams):
        """How far the scores may go."""

        score_travel: float = knob(
            50.0,
            low=5.0,
            high=1000.0,
            log=True,
            help="how far a score could go; sets its rate by the steps (paper: 1e-2 × 73,000)",
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Learns scores and weights together while threshold and regulariser rise."""
        model = run.pretrained() if params.init == "pretrained" else run.finetuned()
        pruner = bench.SoftMovementPruner(
            model,
            density=run.target.density(model),
            score_travel=params.score_travel,
            schedule=bench.CubicSchedule(begin=params.first_phase, end=1 - params.final_phase),
        )
        return _trained(run, params, pruner)


def _trained(run: Run, params: MovementParams, pruner: bench.MovementPruner) -> PreTrainedModel:
    """The model, trained with or without its embeddings while its masks are learnt."""
    embeddings = bench.embedding_modules(pruner.model)
    for module in embeddings:
        module.requires_grad_(params.embeddings == "trained")
    loss = bench.loss_for(run, params, share=params.teacher_share, temperature=params.temperature)
    run.train(pruner.model, loss=loss, params=params, callbacks=[pruner])
    for module in embeddings:
        module.requires_grad_(True)
    return pruner.finish()
