"""A saved model, counted against its uncompressed shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.models.checkpoint import load_classifier
from bench.models.families import max_text_positions
from bench.models.footprint import Counts, count, count_dense, footprint
from bench.protocol import SEQUENCE_LENGTH

if TYPE_CHECKING:
    from bench.models.footprint import Footprint


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a saved model holds and costs.

    Attributes:
        model_type: Its family, as its configuration names it.
        sequence_length: Tokens of the one example that FLOPs are counted for.
        dense: Counts of the uncompressed shapes.
        actual: Counts of the model.
        footprint: The counts set against each other, and bytes.
        notes: What a reader of the counts should know.
    """

    model_type: str
    sequence_length: int
    dense: Counts
    actual: Counts
    footprint: Footprint
    notes: list[str]


def count_saved(name: str, dense: str | None = None, sequence_length: int | None = None) -> Counted:
    """Counts a saved model.

    Args:
        name: Folder or hub name of a saved model; a sparse export, too.
        dense: The uncompressed model; the model's own shapes without zeros otherwise.
        sequence_length: Tokens of the one example that FLOPs are counted for; 128, or as many as
            the model takes, where it is not said.

    Raises:
        BenchError: A model cannot be read, is of no supported family, or has fewer positions than
            the sequence length.
    """
    model, notes = load_classifier(name)
    longest = max_text_positions(model.config)
    length = min(SEQUENCE_LENGTH, longest) if sequence_length is None else sequence_length
    if not 1 <= length <= longest:
        raise BenchError(f"--sequence-length {length}: {name} takes 1 to {longest} tokens.")
    whole = model
    if dense is not None:
        whole, more = load_classifier(dense, like=model)
        notes = [*notes, *more]
    return Counted(
        model_type=str(model.config.model_type),
        sequence_length=length,
        dense=count_dense(whole),
        actual=count(model),
        footprint=footprint(model, whole, length),
        notes=notes,
    )
