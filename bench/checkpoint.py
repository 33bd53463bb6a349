"""Saved models read as sequence classifiers: nothing of an encoder is ever made up."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def from_folder(
    automatic: Any, folder: Path, **settings: Any
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model in a folder in fp32, read by a class of transformers that prints nothing.

    Args:
        automatic: The class, such as `AutoModelForMaskedLM`.
        folder: A Hugging Face folder.
        settings: Further arguments of its `from_pretrained`.

    Returns:
        The model, and which tensors were missing or did not fit.
    """
    import torch
    from transformers.utils import logging

    library_log: Any = logging
    library_log.set_verbosity_error()  # it would report a fresh head at length
    library_log.disable_progress_bar()
    return automatic.from_pretrained(  # type: ignore[no-any-return]
        folder,
        dtype=torch.float32,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
        **settings,
    )


def read_classifier(
    folder: Path, config: PretrainedConfig, *, fresh_head: bool
) -> tuple[PreTrainedModel, list[str]]:
    """The model in a folder as a sequence classifier in fp32.

    Args:
        folder: A Hugging Face folder.
        config: Its configuration, with the labels of the task.
        fresh_head: Whether pooler and classifier may be missing, or be of another shape.

    Returns:
        The model, and the names of its tensors that the folder lacks, all of them the head's.

    Raises:
        BenchError: The folder lacks tensors, has layers' tensors of another shape or number than
            the configuration describes, or NaN.
    """
    from transformers import AutoModelForSequenceClassification

    from bench.families import family_of, head_modules, layers

    try:
        model, loading = from_folder(
            AutoModelForSequenceClassification,
            folder,
            config=config,
            ignore_mismatched_sizes=True,  # told below, in one line
        )
    except Exception as error:  # a configuration that describes no model fails in any way it likes
        raise BenchError(
            f"{folder}: its config.json and weights cannot be read as a model: {first_line(error)}"
        ) from None
    if not layers(model):
        raise BenchError(f"{folder}: its config.json describes a model without layers.")
    head = tuple(f"{module}." for module in head_modules(model)) if fresh_head else ()
    missing = sorted(loading["missing_keys"])
    others = sorted(key for key, *_ in loading["mismatched_keys"])
    within = f"{family_of(model).layers}."  # what is unknown outside is another head's
    unknown = sorted(key for key in loading["unexpected_keys"] if within in key)
    for keys, what in (
        (missing, "are missing"),
        (others, "have another shape than config.json"),
        (unknown, "belong to no layer that config.json describes"),
    ):
        if keys := [key for key in keys if not key.startswith(head)]:
            raise BenchError(f"{folder}: {len(keys)} tensors {what}, such as {keys[0]}.")
    for key, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise BenchError(f"{folder}: the tensor {key} holds NaN or infinity.")
    return model, missing


def unreadable(model: PreTrainedModel, num_labels: int) -> str:
    """What would keep a model from being saved and read back as the same classifier, or nothing.

    Such as a wrapper or a parametrisation that was left in it, or a head of another size.

    Args:
        model: The model.
        num_labels: Labels of the task that it is for.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    if model.config.num_labels != num_labels:
        return f"a configuration of {model.config.num_labels} labels, not {num_labels}"
    try:
        with torch.device("meta"):
            plain = AutoModelForSequenceClassification.from_config(
                copy.deepcopy(model.config), trust_remote_code=False
            )
    except Exception as error:  # a configuration that describes no model fails in any way it likes
        return f"a configuration that no model can be made from: {first_line(error)}"
    own, described = (
        {name: tensor.shape for name, tensor in one.state_dict().items()} for one in (model, plain)
    )
    odd = [name for name in own | described if own.get(name) != described.get(name)]
    return f"tensors that its configuration does not describe, such as {odd[0]}" if odd else ""


def load_classifier(name: str, num_labels: int = 2) -> tuple[PreTrainedModel, list[str]]:
    """A saved model as a sequence classifier in fp32, and what a reader of its counts should know.

    That is, a folder that `save_pretrained` wrote, or one of `bench export --format sparse`.

    Args:
        name: Folder or hub name.
        num_labels: Labels of a fresh head, where the model has none.

    Raises:
        BenchError: It cannot be read, or is of no supported family.
    """
    import torch
    from torch.nn.init import normal_

    from bench.export import COMPACT, load_compact
    from bench.families import read_config
    from bench.hub import check_weights, local_path, model_folder

    folder = local_path(name)
    if (folder / COMPACT).is_file():
        read_config(folder)  # refuses what is of no supported family
        return load_compact(folder).float(), [f"{name} holds its values in fp16."]
    if folder.is_dir():  # a local one needs no tokenizer to be counted
        check_weights(folder)
    else:
        folder = model_folder(name)
    config = read_config(folder)
    notes = []
    if not any(a.endswith("ForSequenceClassification") for a in config.architectures or ()):
        config.num_labels = num_labels
        notes.append(
            f"{name} has no classification head; it is counted with a fresh one for {num_labels} "
            "labels, and without any other head."
        )
    model, missing = read_classifier(folder, config, fresh_head=bool(notes))
    generator = torch.Generator().manual_seed(0)
    for key in missing:  # drawn: a fresh head's zero biases are none of the model's zeros
        normal_(model.get_parameter(key), std=0.02, generator=generator)
    return model, notes
