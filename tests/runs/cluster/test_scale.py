"""A small part of `benchmarks/scale.py`: the driver's real code under a fake clock."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from scale import ideal, simulate


def test_nothing_is_lost_or_done_twice_where_nodes_die() -> None:
    seen = simulate(200, 4, 3, counts=False)
    assert seen.jobs > 600
    assert seen.deaths > 3
    assert (seen.missing, seen.twice, seen.early) == (0, 0, 0)
    assert 1 <= seen.makespan_s / seen.ideal_s < 1.3
    assert simulate(200, 4, 3, counts=False).makespan_s == seen.makespan_s


def test_the_ideal_is_that_of_the_slots_that_are_there() -> None:
    assert ideal(100.0, [(0.0, 8)]) == 12.5
    # Two slots for ten seconds, one for ten, then two again: 20 + 10 + 2 * 5.
    assert ideal(40.0, [(0.0, 2), (10.0, -1), (20.0, 1)]) == 25.0
