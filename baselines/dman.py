"""DMAN: a small dense model whose layers begin with mask attention (Fan et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import bench
from bench import MethodInfo, Run, knob

from .small_dense import TinyBERT
from .students import new_student

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class DynamicMaskAttention(TinyBERT):
    """Distil the encoder into a small dense model of mask attention, as `tinybert` is distilled.

    Each layer is mask attention, self-attention, feed-forward; the mask says how much a token looks
    at another, by the token, the distance and the head, and is learnt. Self-attention and
    feed-forward start from weights cut out of the encoder, as those of `tinybert` do. Mask
    attention, of which the encoder has none, is drawn, and at first hands on what it is given. Its
    matrices count like all others, so that at the same ratio the model is narrower than
    `tinybert`'s.

    Two parameters make controls of it: `mask` holds the mask, at all ones (a second self-attention)
    or at the identity (no token looks at another), and `teacher=none` leaves labels alone.
    """

    info = MethodInfo(
        name="dman",
        summary="distil into a small dense model whose layers begin with mask attention",
        kind="small",
        removes="layers, width and neurons",
        mask_attention=True,
        starts_from="pretrained",
        teacher="finetuned",
        paper="arXiv:2103.13597",
        version=2,  # mask attention had begun with a drawn output matrix
        revised_after=("demo-sentiment", "demo-paraphrase"),
    )

    @dataclass(frozen=True, kw_only=True)
    class Params(TinyBERT.Params):
        """What makes controls of it."""

        mask: Literal["learnt", "ones", "identity"] = knob(
            "learnt",
            choices=("learnt", "ones", "identity"),
            tuned=False,
            help="the mask of each layer's first attention: learnt, or one that stays",
        )
        teacher: Literal["finetuned", "none"] = knob(
            "finetuned",
            choices=("finetuned", "none"),
            tuned=False,
            help="who teaches; none: all steps are on the task's labels, without stage 1",
        )

    def student(self, run: Run, params: Any) -> tuple[PreTrainedModel, bench.Projection]:
        """A student with mask attention, and the map to its teacher's states."""
        return new_student(run, params, params.mask)

    def compress(self, run: Run, params: Any) -> PreTrainedModel:
        """As `tinybert`, or by the task's labels alone."""
        if params.teacher != "none":
            return super().compress(run, params)
        student, _ = self.student(run, params)
        run.train(student, loss=bench.task_loss, params=params)
        return student
