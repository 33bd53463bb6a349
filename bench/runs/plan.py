"""From a selection to a list of cells, references first: plain data, nothing heavy imported."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.runs.cells.cell import Cell

if TYPE_CHECKING:
    from bench.compression.units import Axis
    from bench.runs.cells.cell import Variant


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a run is asked for.

    Attributes:
        variants: The methods; true for a reference, which is one cell a task and seed.
        tasks: Names of tasks.
        ratios: Wanted compressions, each above 1.
        seeds: Report seeds.
        axis: What the ratios are counted on.
        model: Name of the encoder.
    """

    variants: Mapping[Variant, bool] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    ratios: Sequence[float] = ()
    seeds: Sequence[int] = ()
    axis: Axis = "weights"
    model: str = ""


def plan(selection: Selection, protocol_hash: str) -> list[Cell]:
    """All cells of a selection, references first, since the others start or learn from them.

    Within a task and a seed the ratios follow, and within a ratio the methods as selected, so that
    a run that is stopped early has whole comparisons rather than whole methods.
    """
    references = [v for v, is_reference in selection.variants.items() if is_reference]
    others = [v for v, is_reference in selection.variants.items() if not is_reference]

    def cell(variant: Variant, task: str, ratio: float, seed: int) -> Cell:
        axis: Axis = (
            selection.axis if ratio != 1 else "weights"
        )  # ratio 1 is the same on every axis
        return Cell(str(variant), task, axis, ratio, seed, selection.model, protocol_hash)

    cells = [
        cell(variant, task, 1.0, seed)
        for seed, task, variant in itertools.product(selection.seeds, selection.tasks, references)
    ]
    cells += [
        cell(variant, task, ratio, seed)
        for seed, task, ratio, variant in itertools.product(
            selection.seeds, selection.tasks, selection.ratios, others
        )
    ]
    return cells


def shard(cells: Sequence[Cell], index: int, count: int) -> list[Cell]:
    """The part of a plan that machine `index` of `count` (from 1) takes."""
    return list(cells[index - 1 :: count])
