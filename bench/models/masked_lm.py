"""An encoder and its masked-language-model head, apart."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers import AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutput

from bench.errors import BenchError
from bench.models.checkpoint import from_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@functools.lru_cache(maxsize=1)
def load_head(encoder: Path) -> PreTrainedModel:
    """A masked language model whose encoder is a stand-in for any other.

    Raises:
        BenchError: The checkpoint has no such head.
    """
    return load_masked_model(encoder)[1]


def load_masked_model(encoder: Path) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The encoder of a masked language model, and its head as `load_head` returns it.

    Raises:
        BenchError: The checkpoint has no such head; the message says what is missing.
    """
    try:
        model, found = from_folder(AutoModelForMaskedLM, encoder)
        missing = sorted(found["missing_keys"])
    except ValueError:  # no class for such a configuration
        missing = ["all"]
    if missing:
        named = ", ".join(missing)
        raise BenchError(
            f"the encoder's checkpoint has no masked-language-model head (missing: {named})"
        )
    model.eval()
    base: PreTrainedModel = model.base_model  # type: ignore[assignment]
    setattr(model, model.base_model_prefix, _StandIn())
    return base, model


class _StandIn(nn.Module):
    """Stands where the encoder was, and hands on the hidden states that it was given."""

    hidden: Tensor

    def forward(self, *_: Any, **__: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.hidden)
