"""Block movement pruning with hybrid filling (Lagunas et al. 2021, arXiv:2109.04838)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class BlockMovementPruning(Method):
    """Movement pruning of blocks, which empties heads; the others are filled and trained on.

    Blocks of attention and whole neurons have learnt scores. Those with the lowest go along a cubic
    schedule, until as many heads and neurons are left as the target allows, the same share of both.
    Then empty heads and neurons are cut out for real. The rest becomes dense: masked weights come
    back as they were, and are trained on in the last phase. So the target is met by what is
    delivered, and the blocks in between are much sparser.

    What differs from the paper: masks are top-v, where the authors have a threshold on sigmoids and
    a regulariser with a weight for attention and one for neurons. With these they set the shares of
    heads and neurons by hand, and the size that comes out is not known beforehand.
    """

    info = MethodInfo(
        name="block-movement",
        summary="movement pruning of blocks and neurons; heads that are left are filled again",
        kind="structured",
        removes="attention heads and feed-forward neurons, those that lost all their blocks",
        starts_from="finetuned",
        teacher="finetuned",
        paper="arXiv:2109.04838",
        paper_steps=147_264,  # MNLI: 12 epochs of 12,272 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """Phases and distillation, as in movement pruning."""

        first_phase: float = knob(0.1, low=0.0, high=0.4, help="share of the steps before any cut")
        final_phase: float = knob(0.4, low=0.1, high=0.6, help="share of the steps after filling")
        teacher: Literal["finetuned", "none"] = knob(
            "finetuned", choices=("finetuned", "none"), tuned=False, help="who teaches"
        )
        teacher_share: float = knob(
            0.9, low=0.0, high=1.0, tuned=False, help="weight of the teacher in the loss"
        )
        temperature: float = knob(2.0, low=0.5, high=10.0, tuned=False, help="of the soft labels")
        score_learning_rate: float = knob(
            1e-2, low=1e-4, high=1.0, log=True, tuned=False, help="only the scores' order counts"
        )
        init: Literal["finetuned", "pretrained"] = knob(
            "finetuned", choices=("finetuned", "pretrained"), tuned=False, help="where it starts"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Learns scores of blocks and neurons, cuts what is empty, and trains the filled rest."""
        model = run.finetuned() if params.init == "finetuned" else run.pretrained()
        heads, neurons = run.target.heads_and_neurons(model.config)
        share = 1 - params.final_phase
        pruner = bench.BlockMovementPruner(
            model,
            heads=heads,
            neurons=neurons,
            score_learning_rate=params.score_learning_rate,
            schedule=bench.CubicSchedule(begin=params.first_phase / share),
        )
        loss = bench.loss_for(
            run, params, share=params.teacher_share, temperature=params.temperature
        )
        run.train(model, loss=loss, params=params, callbacks=[pruner], share=share)
        kept_heads, kept_neurons = pruner.fill()
        run.log(f"heads a layer: {[len(some) for some in kept_heads]}")
        run.log(f"neurons a layer: {[len(some) for some in kept_neurons]}")
        smaller = bench.cut(model, kept_heads, kept_neurons)
        run.train(smaller, loss=loss, params=params, share=params.final_phase)
        return smaller
