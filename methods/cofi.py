"""CoFi: coarse- and fine-grained structured pruning (Xia et al. 2022, arXiv:2204.00408)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, MethodInfo, Run, TrainParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TAUGHT_LAYERS = 4
"""Layers of the teacher that are learnt from, evenly spread: of 12 the authors take 3, 6, 9, 12."""


class CofiPruning(Method):
    """Learn gates on layers, heads, neurons and hidden dimensions, and cut where they close.

    A Lagrangian brings the gates to the target (`bench.GatePruner`), while a teacher gives soft
    labels and the hidden states of its layers, each to the nearest layer that the student still
    has. Then the units of the lowest gates are cut, so many that the target is met exactly, and the
    rest is taught on. The authors spend 20 to 100 epochs on the gates, at a rate of 0.01, and as
    many again on what is left; here both share the steps, and the rate follows from their number.
    The student starts from the fine-tuned model, which stands for the authors' epochs before any
    gate closes.
    """

    info = MethodInfo(
        name="cofi",
        summary="learn gates on layers, heads, neurons and width, taught layer by layer",
        kind="structured",
        removes="layers, attention heads, feed-forward neurons and hidden dimensions",
        cuts_width=True,
        starts_from="finetuned",
        teacher="finetuned",
        paper="arXiv:2204.00408",
        paper_steps=490_880,  # MNLI: 20 epochs of 12,272 steps on the gates, 20 on what is left
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TrainParams):
        """How the gates move, how long what they leave is trained, and what the teacher gives."""

        final_phase: float = knob(0.4, low=0.1, high=0.7, help="share of the steps after the cut")
        layer_share: float = knob(
            0.9, low=0.5, high=0.9, help="weight of hidden states; soft labels have the rest"
        )
        gate_travel: float = knob(
            30.0,
            low=10.0,
            high=300.0,
            log=True,
            help="how far a gate could go; sets its rate by the steps (paper: 0.01 × 18,000)",
        )
        ramp: float = knob(
            0.5, low=0.1, high=1.0, tuned=False, help="share of the gates' steps till the target"
        )
        temperature: float = knob(2.0, low=0.5, high=10.0, tuned=False, help="of the soft labels")
        layer_map: Literal["monotone", "free"] = knob(
            "monotone",
            choices=("monotone", "free"),
            tuned=False,
            help="whether lower layers teach lower ones, as the authors have it for small sets",
        )
        init: Literal["finetuned", "pretrained"] = knob(
            "finetuned", choices=("finetuned", "pretrained"), tuned=False, help="where it starts"
        )

    def compress(self, run: Run, params: Params) -> PreTrainedModel:
        """Learns the gates, cuts, and trains what is left, taught all along."""
        import torch

        student = run.finetuned() if params.init == "finetuned" else run.pretrained()
        pruner = bench.GatePruner(student, run.target, travel=params.gate_travel, ramp=params.ramp)
        lesson = _Lesson(run.teacher(), params)
        onto = bench.Projection(torch.eye(bench.shape_of(student.config).width))

        def pruning(model: PreTrainedModel, batch: bench.Batch) -> Tensor:
            alive = pruner.draw()
            return lesson.loss(model, batch, onto, alive) + pruner.penalty()

        callbacks = [pruner, onto]
        share = 1 - params.final_phase
        run.train(student, loss=pruning, params=params, callbacks=callbacks, share=share)
        structure = pruner.finish()
        run.log(str(structure))

        smaller = structure.cut(student)
        weight, bias = onto.state()["weight"], onto.state()["bias"]
        narrow = bench.Projection(weight[:, structure.dimensions])
        narrow.load({"weight": weight[:, structure.dimensions], "bias": bias})

        def fitting(model: PreTrainedModel, batch: bench.Batch) -> Tensor:
            return lesson.loss(model, batch, narrow)

        run.train(
            smaller, loss=fitting, params=params, callbacks=[narrow], share=params.final_phase
        )
        return smaller


class _Lesson:
    """What the teacher gives: soft labels, and hidden states to the nearest layers."""

    def __init__(self, teacher: PreTrainedModel, params: CofiPruning.Params) -> None:
        depth = bench.shape_of(teacher.config).layers
        self.teacher = teacher
        self.params = params
        self.places = bench.layer_map(min(TAUGHT_LAYERS, depth), depth)[1:]

    def loss(
        self,
        model: PreTrainedModel,
        batch: bench.Batch,
        onto: bench.Projection,
        alive: Tensor | None = None,
    ) -> Tensor:
        """The loss of a student on a batch.

        Args:
            model: The student.
            batch: Rows.
            onto: The map from its hidden states to the teacher's.
            alive: Its layers that have anything left in this pass; all of them by default.
        """
        known = bench.look_inside(self.teacher, batch)
        output = model(**batch.inputs, output_hidden_states=True)
        soft = bench.distilled_loss(
            bench.logits_from(output, batch),
            known.logits,
            batch.labels,
            share=1.0,
            temperature=self.params.temperature,
        )
        hidden = bench.layerwise_loss(
            [onto(states) for states in output.hidden_states[1:]],
            [known.hidden[place] for place in self.places],
            batch.inputs["attention_mask"],
            alive,
            monotone=self.params.layer_map == "monotone",
        )
        share = self.params.layer_share
        return share * hidden + (1 - share) * soft
