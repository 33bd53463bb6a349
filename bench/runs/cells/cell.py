"""A cell, and the variant of a method that it names: plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.protocol import OPTIONS
from bench.results.record import cell_id, dense_of

if TYPE_CHECKING:
    from bench.compression.units import Axis


@dataclass(frozen=True)
class Variant:
    """A method with some of its parameters pinned, as `name:parameter=value:…` says it.

    Attributes:
        method: The registered name.
        pins: The pinned parameters, and options of the suite, as texts, sorted by name.
    """

    method: str
    pins: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Reads `knowledge-aware:init=finetuned`.

        Raises:
            BenchError: A part after the name is no `parameter=value`, or one comes twice.
        """
        method, *parts = text.strip().split(":")
        pins: dict[str, str] = {}
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals or not name or not value:
                raise BenchError(f"'{text}': '{part}' is not of the form parameter=value.")
            if name in pins:
                raise BenchError(f"'{text}' pins {name} twice.")
            pins[name] = value
        return cls(method, tuple(sorted(pins.items())))

    @property
    def params(self) -> dict[str, str]:
        """The pinned parameters of the method itself."""
        return {name: value for name, value in self.pins if name not in OPTIONS}

    @property
    def options(self) -> dict[str, str]:
        """The options of the suite that are pinned to others than the suite's."""
        return {name: value for name, value in self.pins if name in OPTIONS}

    def __str__(self) -> str:
        return ":".join([self.method, *(f"{name}={value}" for name, value in self.pins)])


@dataclass(frozen=True)
class Cell:
    """One result to be had.

    Attributes:
        method: The variant's name, pinned parameters included.
        task: The task's name.
        axis: What the ratio is counted on, `weights` or `flops`.
        ratio: Wanted compression; 1 for a reference method.
        seed: Report seed.
        model: Last part of the encoder's folder or hub name; its identity is the weights' hash.
        protocol: Hash of the protocol.
    """

    method: str
    task: str
    axis: Axis
    ratio: float
    seed: int
    model: str
    protocol: str

    def id(
        self, *, version: int, data: str, weights: str, carried: Sequence[Mapping[str, Any]] = ()
    ) -> str:
        """The cell's id; see `bench.results.record.cell_id`."""
        return cell_id(vars(self), version=version, data=data, weights=weights, carried=carried)


def reference_cell(cell: Cell) -> Cell:
    """The cell of the dense model that another one starts or learns from, or is read against."""
    return replace(cell, method=dense_of(cell.method), axis="weights", ratio=1.0)
