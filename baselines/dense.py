"""The fine-tuned dense model: the row that all others are read against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import Method, MethodInfo, Run, TrainParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Dense(Method):
    """Fine-tune the pre-trained model and remove nothing."""

    info = MethodInfo(
        name="dense",
        summary="fine-tune the pre-trained model, remove nothing",
        kind="reference",
        removes="nothing",
        starts_from="pretrained",
        control=True,
    )

    def compress(self, run: Run, params: TrainParams) -> PreTrainedModel:
        """Returns the reference, trained once and shared with all that start or learn from it."""
        return run.finetuned(params)
