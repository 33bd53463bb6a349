"""Names of a command line: paths with commas in them, and links to files without an ending."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import arguments, registry
from bench.cli.config import config_words
from bench.cli.values import names
from bench.data.task import Source
from bench.patterns import join_names, split_names
from bench.runs.command import portable_command, words_of
from bench.runs.names import select_tasks
from bench.runs.request import Request

TASK = """name = "own"\ntrain = "train.csv"\ndev = "dev.csv"
text = "text"\nlabel = "label"\nlabels = ["no", "yes"]\n"""


def task(folder: Path, name: str = "own.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(TASK)
    for split in ("train", "dev"):
        (folder / f"{split}.csv").write_text(f"text,label\nof {split},yes\n")
    return folder / name


@pytest.mark.parametrize("said", [["a"], ["a,b.toml", "c"], ["x,,y", ","], []])
def test_a_list_is_read_as_the_names_that_it_was_made_of(said: list[str]) -> None:
    assert split_names(join_names(said)) == said
    assert split_names(" a, b ,,c ") == ["a", "b", "c"]


def test_a_comma_in_a_path_is_no_comma_between_two(tmp_path: Path) -> None:
    path = task(tmp_path / "one,two", "a,b.toml")
    spelled = str(path).replace(",", "\\,")
    assert names(f"cola,{spelled}") == ["cola", str(path)]
    assert list(arguments.names("tasks", [path, "cola"])) == [str(path), "cola"]
    (tmp_path / "c.toml").write_text(f"tasks = ['cola', '{path}']")
    said = config_words(tmp_path / "c.toml", ["--tasks"])
    assert said == ["--tasks", f"cola,{spelled}"]
    assert words_of(Request(tasks=["cola", str(path)])) == said
    shown = "bench run --tasks cola,$TASK_DIR/'a\\,b.toml'"
    assert portable_command(said) == shown
    assert list(select_tasks(names(spelled))) == [str(path)]


def test_a_task_that_is_a_link_into_a_cache_is_found_and_so_are_its_files(tmp_path: Path) -> None:
    """As the hub's library lays out its cache: names lead to hashes."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    task(blobs)
    for number, path in enumerate(list(blobs.iterdir())):
        blob = path.rename(blobs / f"{number:040}")
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    (key,) = select_tasks([str(snapshot / "own.toml")])
    assert key == str(snapshot / "own.toml")
    assert registry.task(key).load(Source()).dev["text"] == ["of dev"]


def test_a_link_to_a_task_with_its_ending_stands_for_the_task(tmp_path: Path) -> None:
    path = task(tmp_path / "real")
    (tmp_path / "link.toml").symlink_to(path)
    assert list(select_tasks([str(tmp_path / "link.toml")])) == [str(path)]
