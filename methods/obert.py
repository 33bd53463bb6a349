"""Gradual second-order pruning, oBERT (Kurtic et al. 2022, arXiv:2203.07259)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TaughtParams, knob

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = 16
"""Rows of a batch whose mean gradient enters the Fisher matrix, as in the authors' code."""

INITIAL = 0.3
"""Density after the first of several events, as in the authors' recipes for downstream tasks."""


class ObertPruning(Method):
    """Remove the weights that cost the least loss, let the others make up for them, train, repeat.

    An event removes weights by second-order cost and moves the rest, as `bench.OptimalBrainSurgeon`
    does with a Fisher matrix of the day; then a phase of training follows whose rate begins at its
    peak again, the authors' cyclic rate. The first event leaves 30 %, the others go on along the
    cubic to the target; all phases are equally long, and the last is the recovery. A target of
    30 % or more takes one event; `events=1` is the paper's one-shot pruning, with the whole
    training behind it.

    What differs: four events by default instead of seven over 30 epochs, since each takes a Fisher
    matrix; 256 gradients instead of 1,024, of the same rows at every event; a rate that warms up
    and decays to zero in each phase, the authors' to a tenth; a start from the reference, which
    stands for their two epochs before the first event; and [F⁻¹]_QQ solved whole, where their code
    takes it for diagonal, as if each weight went alone.
    """

    info = MethodInfo(
        name="obert",
        summary="remove what costs the least loss in second order, adjust the rest, train, repeat",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="finetuned",
        teacher="finetuned",
        version=2,
        revised_after=(),  # events and teacher as in the authors' recipe: no score led to them
        paper="arXiv:2203.07259",
        paper_steps=368_160,  # MNLI: 30 epochs of 12,272 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TaughtParams):
        """What can be tuned or pinned beside the training itself."""

        dampening: float = knob(
            1e-7, low=1e-10, high=1e-2, log=True, help="λ, added to the Fisher's diagonal"
        )
        scope: Literal["local", "global"] = knob(
            "global", choices=("local", "global"), help="one threshold a matrix, or one for all"
        )
        events: int = knob(
            4, low=1, high=64, tuned=False, help="times that weights go, each before a training"
        )
        recomputations: int = knob(
            1, low=1, high=64, tuned=False, help="steps of an event, each with a new Fisher"
        )
        gradients: int = knob(
            256, low=1, high=65536, tuned=False, help="batches of 16 rows that a Fisher is made of"
        )
        block: int = knob(
            50, low=1, high=1024, tuned=False, help="neighbouring weights that are seen together"
        )
        memory_gb: float = knob(
            2.0, low=0.001, high=1024.0, tuned=False, help="for the blocks; less means more passes"
        )
        teacher: Literal["none", "finetuned"] = knob(
            "finetuned", choices=("none", "finetuned"), tuned=False, help="who gives soft labels"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Cuts, in steps of equal size within an event, and trains under fixed masks, in turn."""
        model = run.finetuned()
        surgeon = bench.OptimalBrainSurgeon(
            model, dampening=params.dampening, block=params.block, memory_gb=params.memory_gb
        )
        densities = event_densities(params.events, run.target.density(model))
        passes = surgeon.passes * len(densities) * params.recomputations
        batches = run.sample(model, ROWS * params.gradients, passes=passes, batch_size=ROWS)
        loss = bench.loss_for(run, params, share=1.0)
        before = 1.0
        for density in densities:
            for cuts_left in reversed(range(params.recomputations)):
                share = density + (before - density) * cuts_left / params.recomputations
                surgeon.cut(batches, share, params.scope)
                run.log(f"{share:.2%} of the weights are left")
            before = density
            masked = bench.MaskedTraining(surgeon.masks)
            run.train(model, loss=loss, params=params, callbacks=[masked], share=1 / len(densities))
        return model


def event_densities(events: int, final: float) -> list[float]:
    """What each event leaves: `INITIAL`, then along the cubic down to the target.

    Args:
        events: Their number.
        final: The target, 0–1.

    Returns:
        As many densities, each below the one before; the target alone where it is not below
        `INITIAL`.
    """
    if events == 1:
        return [final]
    cubic = bench.CubicSchedule(initial=INITIAL, events=events - 1)
    return list(dict.fromkeys(cubic.densities(events - 1, final).values()))
