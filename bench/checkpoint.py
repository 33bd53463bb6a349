"""Saved models that were made elsewhere, read as sequence classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_classifier(name: str, num_labels: int = 2) -> tuple[PreTrainedModel, list[str]]:
    """A saved model as a sequence classifier in fp32, and what had to be made up to get one.

    Args:
        name: Folder or hub name.
        num_labels: Labels of a fresh head, where the model has none.

    Raises:
        BenchError: It cannot be read, or is of no supported family.
    """
    import torch
    from safetensors import SafetensorError
    from torch.nn.init import ones_
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    from bench.families import head_modules, read_config
    from bench.hub import local_path, model_folder

    library_log: Any = logging
    library_log.set_verbosity_error()  # it would report the fresh head at length
    library_log.disable_progress_bar()
    folder = local_path(name)
    if not folder.is_dir():  # a local one needs no tokenizer to be counted
        folder = model_folder(name)
    config = read_config(folder)
    notes = []
    if not any(a.endswith("ForSequenceClassification") for a in config.architectures or ()):
        config.num_labels = num_labels
        notes.append(
            f"{name} has no classification head; it is counted with a fresh one for {num_labels} "
            "labels, and without any other head."
        )
    automatic: Any = AutoModelForSequenceClassification
    try:
        model, loading = automatic.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=bool(notes),
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BenchError(f"{name}: its weights cannot be read: {first_line(error)}") from None
    fresh = tuple(f"{module}." for module in head_modules(model)) if notes else ()
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith(fresh))
    if missing:
        raise BenchError(f"{name}: {len(missing)} tensors are missing, such as {missing[0]}.")
    for key in loading["missing_keys"]:
        ones_(model.get_parameter(key))  # a fresh head's zero biases are none of the model's zeros
    return model, notes
