"""How tests run one cell in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runs.cells import execute as cells
from bench.runs.cells.tuning import tuned

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context


def execute(cell: Cell, context: Context) -> Record:
    """Runs a cell whose parameters, and those of its dense model, are found."""
    bound = context.bind(cell)
    found, dense = tuned(bound), tuned(bound.reference())
    assert found is not None
    assert dense is not None
    return cells.execute(bound, found, dense)
