"""A fine-tuned encoder as a checkpoint to start from: its head dropped, all else as it was."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoModel, AutoModelForMaskedLM

from bench.models.checkpoint import from_folder, read_config, save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def save_start(model: PreTrainedModel, folder: Path, encoder: Path) -> None:
    """Writes the encoder of a fine-tuned model as a pre-trained one.

    What belongs to pre-training stays: the masked-language-model head, where the checkpoint has
    one, and a pooler, which is part of the encoder and was trained along where the task asks it.

    Args:
        model: The fine-tuned model, on the processor.
        folder: The folder to write.
        encoder: Folder of the encoder that it was made from.
    """
    config = read_config(encoder)
    base, found = from_folder(AutoModel, encoder, config=config)
    trained = model.base_model.state_dict()
    base.load_state_dict(trained, strict=False)  # what marks spans has no pooler
    drawn = set(found["missing_keys"]) - trained.keys()
    own = {name: tensor for name, tensor in base.state_dict().items() if name not in drawn}
    try:
        whole, found = from_folder(AutoModelForMaskedLM, encoder, config=config)
    except ValueError:  # no class for such a configuration
        found = {"missing_keys": ["all"]}
    if found["missing_keys"]:
        save_model(base, folder, encoder, own)
        return
    whole.base_model.load_state_dict(own, strict=False)  # which has no pooler either
    prefix = whole.base_model_prefix
    pooler = {f"{prefix}.{name}": tensor for name, tensor in own.items()}
    save_model(whole, folder, encoder, {**pooler, **whole.state_dict()})
