"""The page of published figures, and the published data itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import PAGES

from bench.errors import BenchError
from bench.files import read_toml
from bench.leaderboard.papers import make_published

DATA = PAGES / "published.toml"

TABLE = """
[[table]]
id = "one"
title = "A table"
source = "A paper, table 1"
model = "BERT-base"
split = "GLUE dev"
differs = "everything"
methods = ["movement"]
columns = ["model", "MNLI"]
rows = [["a_b | c", "80.7"]]
notes = []
"""


def suite(name: str, *methods: str) -> dict[str, Any]:
    cells = {method: [method, "stsb", 20.0, 0] for method in methods}
    return {"name": name, "model": "small", "axis": "weights", "settings": {}, "cells": cells}


def test_a_table_says_where_it_is_from_and_links_to_our_own(tmp_path: Path) -> None:
    path = tmp_path / "published.toml"
    path.write_text(TABLE)
    suites = [
        suite("one", "movement:scope=global", "dense"),
        suite("other", "tinybert", "dense"),
        suite("third", "movement", "movement:scope=local"),
    ]
    page = make_published(path, suites)
    assert r"a\_b \| c" in page
    assert "- Source: A paper, table 1\n- What differs: everything\n" in page
    said = "Pages here with a method of this table: [one](one.md), [third](third.md)."
    assert page.splitlines().count(said) == 1
    assert "other" not in page


def test_a_table_of_methods_that_no_page_has_links_nowhere(tmp_path: Path) -> None:
    """Nor does the dense model, which every page has."""
    path = tmp_path / "published.toml"
    path.write_text(TABLE.replace('["movement"]', '["dense", "cofi"]'))
    assert "Pages here" not in make_published(path, [suite("one", "dense", "movement")])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('split = "GLUE dev"\n', "", "lacks split"),
        ('["a_b | c", "80.7"]', '["a"]', "has not 2 cells"),
        ('[[table]]\nid = "one"', '[[table', "no TOML"),
    ],
)  # fmt: skip
def test_a_broken_table_is_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "published.toml"
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(BenchError, match=said):
        make_published(path, [])


def test_two_tables_of_one_id_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "published.toml"
    path.write_text(TABLE * 2)
    with pytest.raises(BenchError, match="'one' comes twice"):
        make_published(path, [])


def rows(table: str) -> dict[str, list[str]]:
    (found,) = (t for t in read_toml(DATA)["table"] if t["id"] == table)
    return {row[0]: row for row in found["rows"]}


def test_headline_figures_are_those_of_the_papers() -> None:
    sparse = rows("sparsebert")
    (own,) = (row for name, row in sparse.items() if name.startswith("SparseBERT"))
    assert own[-5:] == ["90.6", "88.5", "69.1", "52.1", "75.1"]
    assert rows("tinybert-glue-test")["TinyBERT4 (4L-312)"][-1] == "77.0"
    assert rows("movement-readme")["Soft movement"][2:] == ["72.7/82.3", "79.5/80.1", "89.1/85.5"]
