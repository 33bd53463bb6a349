"""A causal language model that continues texts: found, checked, and read.

Any that transformers knows will do, since nothing of it is compressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType, field

from bench.errors import BenchError, first_line
from bench.hub import repository_of
from bench.models.checkpoint import from_folder, parse_config, read_tokenizer
from bench.models.configuration import Attention, Layers, Width, check_parameters, refuse_code
from bench.models.folder import (
    CONFIG,
    check_files,
    check_tokenizer,
    find_folder,
    numbers_held,
    read_object,
    weight_hash,
)
from bench.schema import check

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the library's names of causal language models end."""

POSITIONS = 1024
"""Pieces that a model reads where its configuration says nothing of it."""


class _Described(Struct, kw_only=True):
    """What a generator's `config.json` has to say, by either name of a size."""

    model_type: str
    architectures: list[str] | None = None
    is_encoder_decoder: bool = False
    n_layer: Layers | UnsetType = UNSET
    num_hidden_layers: Layers | UnsetType = UNSET
    n_embd: Width | UnsetType = UNSET
    hidden_size: Width | UnsetType = UNSET
    attn_implementation: Attention | None = None
    attention_inside: Attention | None = field(default=None, name="_attn_implementation")


@dataclass(frozen=True)
class Generator:
    """A causal language model in a folder; plain data, so that worker processes can be sent it.

    Attributes:
        name: Last part of its path, or of its name on the hub.
        folder: The folder.
        hash: Identity of weights, configuration and tokenizer.
    """

    name: str
    folder: Path
    hash: str


def find_generator(name: str, *, offline: bool = False) -> Generator:
    """Finds and checks a causal language model.

    Args:
        name: A folder, or a name on the hub.
        offline: Take the hub's cache as it is.

    Raises:
        BenchError: There is none, it is no causal language model, or it cannot be read.
    """
    remedy = "Either name a local folder with --generator DIR, or run once with a network."
    folder = find_folder(name, remedy, offline=offline)
    check_files(folder)
    content = read_object(folder / CONFIG)
    refuse_code(folder / CONFIG, content)
    try:
        said = check(content, _Described)
    except BenchError as error:
        raise BenchError(f"{folder / CONFIG}: {str(error).rstrip('.')}.") from None
    classes = said.architectures or []
    if said.is_encoder_decoder or not any(one.endswith(CAUSAL) for one in classes):
        what = f"its config.json says {', '.join(classes) or 'no class'}"
        raise BenchError(
            f"--generator {name} is no causal language model ({what}): name one such as gpt2, or "
            "leave it, and the encoder's own masked language model writes the endings."
        )
    check_tokenizer(folder)
    described = _parameters(parse_config(folder), folder)
    check_parameters(folder / CONFIG, described, numbers_held(folder))
    own = repository_of(folder) or folder.resolve().name
    return Generator(own.rpartition("/")[2], folder, weight_hash(folder))


def load_generator(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in eval mode in fp32, and its tokenizer.

    Raises:
        BenchError: One of the two cannot be read, or lacks weights.
    """
    from transformers import AutoModelForCausalLM

    try:
        model, loading = from_folder(AutoModelForCausalLM, folder)
    except Exception as error:  # a wrong file fails in any way it likes
        raise BenchError(f"{folder} cannot be read as a generator: {first_line(error)}") from None
    if missing := sorted(loading["missing_keys"]):
        raise BenchError(f"{folder}: {len(missing)} tensors are missing, such as {missing[0]}.")
    return model.eval(), read_tokenizer(folder)


def positions_of(model: PreTrainedModel) -> int:
    """Pieces that a causal language model reads at most."""
    return int(getattr(model.config, "max_position_embeddings", None) or POSITIONS)


def continuing_flops(model: PreTrainedModel, given: int, written: int) -> int:
    """FLOPs of one text: all pieces but the last written one pass the model once, with a cache.

    Each costs two operations a weight of its matrices, the head among them, and attends to those
    before it; the prompt's attend to all of the prompt. Embeddings are looked up, not multiplied.

    Args:
        model: The model.
        given: Pieces of the prompt.
        written: Pieces that are written.
    """
    from torch import nn

    matrices = sum(
        weight.numel()
        for module in model.modules()
        if not isinstance(module, nn.Embedding)
        for weight in module.parameters(recurse=False)
        if weight.dim() == 2
    )
    config: Any = model.config
    layers, width = int(config.num_hidden_layers), int(config.hidden_size)
    passed = given + written - 1
    attended = given * given + sum(range(given + 1, passed + 1))
    return 2 * passed * matrices + 4 * layers * width * attended


def _parameters(config: Any, folder: Path) -> int:
    """How many parameters a configuration describes, without any memory for them."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # a configuration that describes no model fails in any way it likes
        raise BenchError(
            f"{folder} describes no causal language model: {first_line(error)}"
        ) from None
    return sum(parameter.numel() for parameter in model.parameters())
