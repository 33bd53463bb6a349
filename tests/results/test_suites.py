"""What a folder says of its suites, when several runs share one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bench.errors import BenchError
from bench.results.suites import FIGURES, check_suite_name, merge_suites, same_suite

SUITE = {
    "name": "s", "model": "m", "weights": "w", "axis": "weights", "protocol": "p",
    "data": {"cola": "rows", "rte": "rows"}, "commands": ["a"], "settings": {},
    "cells": {"1": ["dense", "cola", 1.0, 0], "2": ["dense", "rte", 1.0, 0]},
}  # fmt: skip


@pytest.mark.parametrize("key", ["name", "model", "weights", "axis", "protocol"])
def test_suites_that_differ_in_what_a_table_needs_are_not_the_same(key: str) -> None:
    assert same_suite(SUITE, SUITE)
    assert not same_suite(SUITE, {**SUITE, key: "other"})


def test_merged_suites_hold_the_cells_and_commands_of_both() -> None:
    new = {**SUITE, "commands": ["b"], "cells": {"3": ["magnitude", "cola", 4.0, 0]}}
    merged = merge_suites(SUITE, new)
    assert merged["cells"] == {**SUITE["cells"], **new["cells"]}
    assert merged["commands"] == ["a", "b"]


def said(tasks: str, methods: str, *, epochs: int = 3) -> str:
    return f"bench run --name s --tasks {tasks} --methods {methods} --epochs {epochs}"


ALL = {
    str(number): [method, task, 4.0, 0]
    for number, (method, task) in enumerate(itertools.product(("a", "b:x=1"), ("cola", "rte")))
}


@pytest.mark.parametrize(
    ("commands", "cells", "wanted"),
    [
        ([said("cola", "a,b:x=1"), said("rte", "a,b:x=1")], ALL, [said("cola,rte", "a,b:x=1")]),
        ([said("cola,rte", "a"), said("rte", "a"), said("cola,rte", "b:x=1")], ALL,
         [said("cola,rte", "a,b:x=1")]),
        ([said("cola", "a"), said("rte", "b:x=1")], {"1": ALL["0"], "2": ALL["3"]},
         [said("cola", "a"), said("rte", "b:x=1")]),  # one command would run twice as much
        ([said("cola", "a"), said("rte", "a", epochs=4)], ALL,
         [said("cola", "a"), said("rte", "a", epochs=4)]),
        ([said("demo", "all"), said("demo", "a")], ALL, [said("demo", "all")]),
        ([said("demo", "a,b"), said("demo", "all,b:x=1")], {}, [said("demo", "all,b:x=1")]),
        ([said("demo", "all"), said("demo", "b:x=1")], {},
         [said("demo", "all"), said("demo", "b:x=1")]),
        (["bench run", "bench run", "bench run --trials 2"], ALL,
         ["bench run", "bench run --trials 2"]),
    ],
)  # fmt: skip
def test_what_several_sittings_ran_is_one_command(
    commands: list[str], cells: dict[str, Any], wanted: list[str]
) -> None:
    first, *others = commands
    suite = {**SUITE, "commands": [first], "cells": cells}
    for command in others:
        suite = merge_suites(suite, {**suite, "commands": [command]})
    assert suite["commands"] == wanted


def test_cells_of_other_rows_never_stand_beside_new_ones() -> None:
    """Dense on the old rows and a method on the new ones would make a false share of dense."""
    new = {**SUITE, "data": {"cola": "other"}, "cells": {"3": ["magnitude", "cola", 4.0, 0]}}
    merged = merge_suites(SUITE, new)
    assert set(merged["cells"]) == {"2", "3"}
    assert merged["data"] == {"cola": "other", "rte": "rows"}


def test_cells_that_are_run_again_keep_their_places() -> None:
    """The columns of a page are in the order of the tasks' cells."""
    key, label = next(iter(SUITE["cells"].items()))
    assert list(merge_suites(SUITE, {**SUITE, "cells": {key: label}})["cells"]) == [*SUITE["cells"]]


def test_the_same_cell_of_another_version_gives_way() -> None:
    new = {**SUITE, "cells": {"9": ["dense", "cola", 1.0, 0]}}
    assert set(merge_suites(SUITE, new)["cells"]) == {"2", "9"}


def test_a_method_stands_in_one_version_only() -> None:
    """A row of two versions would be no method's."""
    known = {**SUITE, "versions": {"dense": 1}}
    known["cells"] = {
        **SUITE["cells"],
        "5": ["mine", "cola", 4.0, 0],
        "6": ["mine", "cola", 4.0, 1],
    }
    known["versions"]["mine"] = 1
    new = {**SUITE, "cells": {"7": ["mine", "cola", 4.0, 0]}, "versions": {"mine": 2}}
    merged = merge_suites(known, new)
    assert set(merged["cells"]) == {"1", "2", "7"}
    assert merged["versions"] == {"dense": 1, "mine": 2}
    same = merge_suites(known, {**new, "versions": {"mine": 1}})
    assert set(same["cells"]) == {"1", "2", "6", "7"}


def test_a_suite_is_not_called_as_a_figure_of_another() -> None:
    for figure in FIGURES:
        check_suite_name(figure)
        check_suite_name(f"{figure}-mine")
        with pytest.raises(BenchError, match="would overwrite other files"):
            check_suite_name(f"mine-{figure}")
