"""Who runs a cell, and when it has to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from studies import cell

from bench.results.store import Store
from bench.runs.cells.claim import Job, attempt

if TYPE_CHECKING:
    from bench.runs.cells.context import Context


def test_a_cell_waits_for_its_study_and_that_of_the_dense_model(context: Context) -> None:
    for method in ("dense", "magnitude", "majority"):
        assert attempt(Job(cell(context, method)), context, pytest.fail, pytest.fail) is None
    assert not list(Store(context.runs).records())
