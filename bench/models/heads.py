"""The two heads of a fine-tuned encoder: one answers for a whole text, one marks spans in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bench.models.families import SPAN_HEAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

CLASSES, SPANS = "ForSequenceClassification", "ForQuestionAnswering"
"""How the library's names of models with the one head or the other end."""


def has_head(config: PretrainedConfig) -> bool:
    """Whether a configuration says that its weights have one of the two."""
    return any(str(name).endswith((CLASSES, SPANS)) for name in config.architectures or ())


def marks_spans(model_or_config: PreTrainedModel | PretrainedConfig) -> bool:
    """Whether the head marks where spans begin and end."""
    config = getattr(model_or_config, "config", None)
    if config is not None:  # of a model, which shows what it has
        return hasattr(model_or_config, SPAN_HEAD)
    config = cast("PretrainedConfig", model_or_config)
    return any(str(name).endswith(SPANS) for name in config.architectures or ())


def automatic(model_or_config: PreTrainedModel | PretrainedConfig) -> Any:
    """The Auto class of transformers for a model's head, or for what a configuration is of."""
    return auto_class(spans=marks_spans(model_or_config))


def auto_class(*, spans: bool) -> Any:
    """The Auto class of transformers for a head that marks spans, or for the other."""
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    return AutoModelForQuestionAnswering if spans else AutoModelForSequenceClassification


def describe_head(config: PretrainedConfig, labels: Sequence[str] | None, *, spans: bool) -> None:
    """Has a configuration say which head its model gets.

    Args:
        config: The configuration, changed in place.
        labels: Names of the head's outputs; `None` for a regression, which has one.
        spans: Whether they are the begin and the end of a span.
    """
    names = labels or ("score",)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    if spans:
        config.architectures = [SPANS]  # until a model is saved, which writes its class
    elif marks_spans(config):
        config.architectures = None


def logits_of(output: Any) -> Tensor:
    """What a model's head says: `[rows, labels]`, or of spans `[rows, 2, pieces]`, begins first."""
    if "start_logits" in output:
        import torch

        return torch.stack([output.start_logits, output.end_logits], dim=1)
    logits: Tensor = output.logits
    return logits
