"""What a page repeats of a command, and what a file says of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli.config import config_words
from bench.errors import BenchError
from bench.runs.command import portable_command, words_of
from bench.runs.request import Request


def test_a_file_of_options_says_what_the_command_line_would(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text('tasks = ["cola", "rte"]\nkeep_models = "none"\noffline = true\nseeds = 2')
    options = ("--tasks", "--keep-models", "--offline", "--seeds")
    assert config_words(path, options) == (
        ["--tasks", "cola,rte", "--keep-models", "none", "--offline", "--seeds", "2"]
    )


@pytest.mark.parametrize("said", ["[7]", '"7-7"'])
def test_one_seed_of_a_file_is_that_seed_and_no_number_of_them(said: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(f"seeds = {said}")
    assert config_words(path, ["--seeds"]) == ["--seeds", "7-7"]


def test_a_request_from_python_says_its_seeds_as_a_command_would() -> None:
    assert words_of(Request(seeds=3)) == ["--seeds", "3"]
    assert words_of(Request(seeds=[7])) == ["--seeds", "7-7"]
    assert words_of(Request(seeds="0-2,7")) == ["--seeds", "0-2,7-7"]


def test_a_command_to_repeat_names_no_place_of_this_machine(tmp_path: Path) -> None:
    model = tmp_path / "my model"
    model.mkdir()
    words: list[Any] = [
        "--tasks", f"cola,{tmp_path}/own.toml", "--data-dir", tmp_path, f"--model={model}",
        "--ratios", "4", "--ratios", "8", "--runs", tmp_path, "--shard", "1/2", "--max-hours", "3",
        "--rerun", "failed", "--config", tmp_path / "c.toml", "--cell-hours", "1",
        "--cell-memory-gb", "2",
    ]  # fmt: skip
    command = portable_command([str(word) for word in words])
    assert command == (
        "bench run --tasks cola,$TASK_DIR/own.toml --data-dir $GLUE_DIR "
        "--model $MODEL_DIR/'my model' --ratios 8"
    )


def test_a_command_to_repeat_takes_no_list_for_a_path() -> None:
    """A long list of methods is longer than any file's name may be."""
    methods = ",".join(f"knowledge-aware:hidden_weight={n}" for n in range(1, 300))
    assert portable_command(["--methods", methods]) == f"bench run --methods {methods}"


def test_an_unknown_key_of_a_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("runz = 'x'")
    with pytest.raises(BenchError, match=r"f\.toml.*'runz'.*'runs'"):
        config_words(tmp_path / "f.toml", ("--runs", "--tasks"))
