"""Saved models and tokenizers, read and written: nothing of an encoder is ever made up."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.checksums import seal
from bench.errors import BenchError, first_line
from bench.files import remove
from bench.hub import local_path
from bench.models.families import (
    SPAN_HEAD,
    family_of,
    head_modules,
    layers,
    max_text_positions,
)
from bench.models.folder import (
    TOKENIZER_FILES,
    check_config,
    check_tokenizer,
    check_weights,
    model_folder,
)
from bench.models.heads import SPANS, automatic, describe_head, has_head, marks_spans

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def read_config(folder: Path) -> PretrainedConfig:
    """The configuration of a saved model.

    Raises:
        BenchError: There is none that can be read, or it is of no supported family.
    """
    import bench.models.own_classes  # noqa: F401 - makes them known

    check_config(folder)
    return parse_config(folder)


def parse_config(folder: Path) -> PretrainedConfig:
    """What transformers makes of a `config.json` that has been checked, of a model of any kind.

    Raises:
        BenchError: It makes nothing of it.
    """
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,  # not given, it asks, and runs
        )
    except Exception as error:  # a wrong value fails in any way it likes
        raise BenchError(
            f"{folder} holds no model configuration that can be read: {first_line(error)}"
        ) from None
    config.return_dict = True  # whatever its author liked: we ask its answers by name,
    config.chunk_size_feed_forward = 0  # and for rows of any length
    return config


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
    """The model in a folder in fp32, with the head that its configuration says.

    Args:
        folder: A Hugging Face folder.
        config: Its configuration, with the labels of the task.
        fresh_head: Whether the head, a pooler among it, may be missing, or be of another shape.

    Returns:
        The model, and the names of its tensors that the folder lacks, all of them the head's.

    Raises:
        BenchError: The folder lacks tensors, has layers' tensors of another shape or number than
            the configuration describes, or NaN.
    """
    try:
        model, loading = from_folder(
            automatic(config),
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


def load_classifier(
    name: str, like: PreTrainedModel | None = None
) -> tuple[PreTrainedModel, list[str]]:
    """A saved model with a head in fp32, and what a reader of its counts should know.

    That is, a folder that `save_pretrained` wrote, or one of `bench export --format sparse`.

    Args:
        name: Folder or hub name.
        like: The model whose head a fresh one is like, where there is none; else it has two labels.

    Raises:
        BenchError: It cannot be read, or is of no supported family.
    """
    import torch
    from torch.nn.init import normal_

    from bench.models.compact import COMPACT, load_compact

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
    if not has_head(config):
        spans = like is not None and marks_spans(like)
        config.num_labels = (like and like.config.num_labels) or 2
        config.architectures = [SPANS] if spans else None
        head = "head for spans" if spans else "classification head"
        fresh = "one" if spans else f"one for {config.num_labels} labels"
        notes.append(
            f"{name} has no {head}; it is counted with a fresh {fresh}, and without any other head."
        )
    model, missing = read_classifier(folder, config, fresh_head=bool(notes))
    generator = torch.Generator().manual_seed(0)
    for key in missing:  # drawn: a fresh head's zero biases are none of the model's zeros
        normal_(model.get_parameter(key), std=0.02, generator=generator)
    return model, notes


def load_model(
    folder: Path,
    labels: Sequence[str] | None,
    dropout: float,
    *,
    spans: bool = False,
    fresh_head: bool = False,
) -> PreTrainedModel:
    """Loads an encoder with a task's head, in fp32.

    Args:
        folder: A Hugging Face folder.
        labels: Names of the classes, which also say how wide the head is; `None` for a regression.
        dropout: The protocol's dropout, whatever the checkpoint's configuration says.
        spans: Whether the head marks spans; the labels are then their begin and end.
        fresh_head: Draw the head anew from torch's generator, whatever the folder holds.

    Raises:
        BenchError: The folder lacks tensors that are not to be drawn anew.
    """
    from torch.nn.init import normal_, zeros_

    config = read_config(folder)
    family = family_of(config)
    describe_head(config, labels, spans=spans)
    config.problem_type = None
    for name in family.dropout:
        setattr(config, name, dropout)
    model, _ = read_classifier(folder, config, fresh_head=fresh_head)
    if fresh_head:
        for name in (SPAN_HEAD,) if spans else family.head:
            linear = cast("nn.Linear", model.get_submodule(name))
            normal_(linear.weight, std=config.initializer_range)
            zeros_(linear.bias)
    return model.eval()  # type: ignore[no-any-return]


def save_model(
    model: PreTrainedModel,
    folder: Path,
    tokenizer: Path,
    state: dict[str, Tensor] | None = None,
) -> None:
    """Writes a model as a Hugging Face folder with its tokenizer, whole or not at all.

    Args:
        model: The model.
        folder: The folder, which is replaced.
        tokenizer: Folder with the tokenizer's files.
        state: What is written in place of the model's own tensors.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        model.save_pretrained(temporary, state_dict=state)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copy(tokenizer / name, temporary)
        temporary.chmod(0o755)
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors writes 0600, which would hide a shared folder's models
        seal(temporary)
        if folder.exists():
            remove(folder, folder.parent)
        temporary.replace(folder)
    finally:
        remove(temporary, folder.parent)


def objection_to_saving(model: PreTrainedModel, num_labels: int, *, spans: bool = False) -> str:
    """What would keep a model from being saved and read back as the same one, or nothing.

    Such as a wrapper or a parametrisation that was left in it, or a head of another size.

    Args:
        model: The model.
        num_labels: Labels of the task that it is for.
        spans: Whether the task is to find spans.
    """
    import torch

    if marks_spans(model) != spans:
        return f"a head that {'marks no' if spans else 'marks'} spans"
    if model.config.num_labels != num_labels:
        return f"a configuration of {model.config.num_labels} labels, not {num_labels}"
    try:
        with torch.device("meta"):
            plain = automatic(model).from_config(
                copy.deepcopy(model.config), trust_remote_code=False
            )
    except Exception as error:  # a configuration that describes no model fails in any way it likes
        return f"a configuration that no model can be made from: {first_line(error)}"
    own, described = (
        {name: tensor.shape for name, tensor in one.state_dict().items()} for one in (model, plain)
    )
    odd = [name for name in own | described if own.get(name) != described.get(name)]
    return f"tensors that its configuration does not describe, such as {odd[0]}" if odd else ""


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in the folder of any model.

    Raises:
        BenchError: There is none that can be read.
    """
    from transformers import AutoTokenizer

    check_tokenizer(folder)  # the library would make one up that knows no word
    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # half a file fails in any way it likes
        raise BenchError(f"{folder}: its tokenizer cannot be read: {first_line(error)}") from None
    return found


def load_tokenizer(encoder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in an encoder's folder.

    Raises:
        BenchError: There is none that can be read, or it has pieces that the encoder does not know.
    """
    tokenizer = read_tokenizer(encoder)
    size, known = len(tokenizer), read_config(encoder).vocab_size
    if not 0 < size <= known:
        raise BenchError(f"{encoder}: its tokenizer has {size} pieces, and the model has {known}.")
    return tokenizer


def max_pieces(encoder: Path) -> int:
    """Word pieces, special ones included, that fit the positions of an encoder."""
    return max_text_positions(read_config(encoder))
