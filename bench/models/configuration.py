"""What a model's `config.json` has to say, looked at before anything is made from it.

Sizes are bounded, since the library allocates what it is told to; and what the file would have
the library run or fetch is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from bench.errors import BenchError
from bench.inputs import MOST_LABELS
from bench.models.families import FAMILIES, Mask, family_named
from bench.schema import check

Width = Annotated[int, Meta(ge=1, le=1 << 16)]
Neurons = Annotated[int, Meta(ge=0, le=1 << 18)]
Vocabulary = Annotated[int, Meta(ge=1, le=10_000_000)]
Positions = Annotated[int, Meta(ge=1, le=1 << 20)]
Layers = Annotated[int, Meta(ge=0, le=1_000)]
Heads = Annotated[int, Meta(ge=1, le=1 << 12)]
Share = Annotated[float, Meta(ge=0, le=1)]
Small = Annotated[float, Meta(ge=0, le=1_000)]

Attention = Literal["eager", "sdpa"]
"""What computes attention; another name may be that of a repository, whose code would run."""

LEAST_LENGTH = 8
"""Tokens of a row at least: a pair of texts has three that are no text."""

EVER = 100_000_000
"""Parameters that a model may have whatever its files hold: no memory is short of so many."""


class Configuration(Struct, kw_only=True):
    """The fields that say how large a model is, and how it computes, by either of their names."""

    model_type: str
    architectures: list[str] | None = None
    vocab_size: Vocabulary | UnsetType = UNSET
    hidden_size: Width | UnsetType = UNSET
    dim: Width | UnsetType = UNSET
    embedding_size: Width | UnsetType = UNSET
    num_hidden_layers: Layers | UnsetType = UNSET
    n_layers: Layers | UnsetType = UNSET
    num_attention_heads: Heads | UnsetType = UNSET
    n_heads: Heads | UnsetType = UNSET
    intermediate_size: Neurons | UnsetType = UNSET
    hidden_dim: Neurons | UnsetType = UNSET
    max_position_embeddings: Positions | UnsetType = UNSET
    type_vocab_size: Annotated[int, Meta(ge=0, le=1_000)] | UnsetType = UNSET
    pad_token_id: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET
    num_labels: Annotated[int, Meta(ge=0, le=MOST_LABELS)] | UnsetType | None = UNSET
    id2label: Annotated[dict[str, str | int], Meta(max_length=MOST_LABELS)] | None = None
    label2id: Annotated[dict[str, int | str], Meta(max_length=MOST_LABELS)] | None = None
    layer_heads: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=1_000)] | None = None
    layer_neurons: Annotated[list[Neurons], Meta(max_length=1_000)] | None = None
    cut_width: Width | None = None
    mask: Mask | None = None
    initializer_range: Small | UnsetType = UNSET
    layer_norm_eps: Small | UnsetType = UNSET
    hidden_dropout_prob: Share | UnsetType = UNSET
    attention_probs_dropout_prob: Share | UnsetType = UNSET
    classifier_dropout: Share | UnsetType | None = UNSET
    dropout: Share | UnsetType = UNSET
    attention_dropout: Share | UnsetType = UNSET
    seq_classif_dropout: Share | UnsetType = UNSET
    qa_dropout: Share | UnsetType = UNSET
    attn_implementation: Attention | None = None
    attention_inside: Attention | None = field(default=None, name="_attn_implementation")


def check_configuration(path: Path, content: dict[str, Any]) -> Configuration:
    """Checks what a `config.json` says.

    Args:
        path: The file.
        content: What it holds.

    Raises:
        BenchError: It is of no supported family, brings code, or has a field that cannot be; one
            line names file and field.
    """
    if "model_type" not in content:
        raise BenchError(f"{path} names no model_type.")
    refuse_code(path, content)
    try:
        found = check(content, Configuration)
        reserved = 0
        if family_named(found.model_type).positions_after_padding:
            if found.pad_token_id is None:
                raise BenchError(
                    "pad_token_id: null, and its models number positions from the index of the "
                    "padding token on: say what it is, mostly 1"
                )
            reserved = 1 if found.pad_token_id is UNSET else found.pad_token_id + 1
        positions = found.max_position_embeddings
        if positions is not UNSET and positions - reserved < LEAST_LENGTH:
            raise BenchError(
                f"max_position_embeddings: {positions - reserved} tokens of a text, and rows need "
                f"{LEAST_LENGTH}"
            )
    except BenchError as error:
        raise BenchError(f"{path}: {str(error).rstrip('.')}.") from None
    return found


def refuse_code(path: Path, content: dict[str, Any]) -> None:
    """Refuses a file that names classes of its own: a stock one in their place is another model.

    Raises:
        BenchError: It does.
    """
    if "auto_map" in content:
        raise BenchError(
            f"{path} names Python code of its own (auto_map), which is never run here. Where you "
            "trust it, transformers runs it with trust_remote_code=True; save what it loads as a "
            f"stock model ({', '.join(FAMILIES)}), or take the key out where it is one."
        )


def least_parameters(found: Configuration) -> int:
    """How many parameters a configuration describes at the least; 0 for what it does not say."""

    def said(*sizes: int | UnsetType | None) -> int:
        return next((size for size in sizes if isinstance(size, int)), 0)

    width = said(found.cut_width, found.hidden_size, found.dim)
    embedded = said(found.embedding_size, width)
    rows = said(found.vocab_size) + said(found.max_position_embeddings)
    layers = said(found.num_hidden_layers, found.n_layers)
    neurons = said(found.intermediate_size, found.hidden_dim) * layers
    attention = 4 * width * width * layers
    if found.layer_neurons is not None:  # and heads, of which some layers may have none
        neurons, attention = sum(found.layer_neurons), 0
    labels = max(said(found.num_labels), len(found.id2label or ()))
    return rows * embedded + attention + 2 * width * neurons + width * labels


def check_parameters(path: Path, described: int, held: int) -> None:
    """Refuses a configuration whose model would be far larger than what its files hold.

    Args:
        path: The configuration's file.
        described: How many parameters it describes at the least.
        held: How many numbers the files of its weights hold.

    Raises:
        BenchError: It does not fit them.
    """
    if described > max(EVER, 2 * held):
        raise BenchError(
            f"{path}: its sizes (vocab_size, hidden_size, layers, positions, labels) describe "
            f"{described:,} parameters at least, and the weights beside it hold {held:,}."
        )
