"""Contrastive pruning, CAP (Xu R. et al. 2022, arXiv:2112.07198)."""

from __future__ import annotations

from dataclasses import dataclass

from bench import MethodInfo, knob

from .movement import MovementPruning


class ContrastivePruning(MovementPruning):
    """Movement pruning that draws sentences to where earlier models have them.

    Beside the loss of `movement` stand contrastive terms: to the pre-trained model, to the
    fine-tuned one, and to snapshots of the model itself, one an epoch (`bench.contrastive_loss`).
    Any pruner that has a parameter `contrastive` can take them, as `magnitude:contrastive=true`.
    """

    info = MethodInfo(
        name="cap",
        summary="movement pruning that draws sentence vectors to those of earlier models",
        kind="unstructured",
        removes="single weights of the six matrices of each layer",
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:2112.07198",
        paper_steps=113_710,  # QQP: 10 epochs of 11,371 steps
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(MovementPruning.Params):
        """Those of movement pruning."""

        contrastive: bool = knob(True, tuned=False, help="without, it is movement pruning")
