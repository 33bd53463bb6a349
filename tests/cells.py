"""How tests run one cell in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runs.cells import execute as cells
from bench.runs.cells.tuning import given, tuned

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import BoundCell, Context
    from bench.runs.cells.tuning import Tuned


def execute(cell: Cell, context: Context) -> Record:
    """Runs a cell whose parameters, and those of its dense model, are found."""
    bound = context.bind(cell)
    found, dense = _params(bound), _params(bound.reference())
    return cells.execute(bound, found, dense)


def _params(bound: BoundCell) -> Tuned:
    """A cell's parameters; where none are searched, without the training that precedes the cell."""
    found = tuned(bound) if bound.searched else given(bound)
    assert found is not None
    return found
