"""`bench run`: its options, its run folder, and a plan that is only said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import bench, quick, records
from refusals import assert_refused

from bench.files import write_json

pytestmark = pytest.mark.usefixtures("empty_place")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ratios = [4", ["f.toml is no TOML"]),
        ("ratois = [4]", ["f.toml", "'ratois'", "Did you mean 'ratios'?"]),
        ("ratios = [4, 1]", ["'1'", "greater than 1"]),
        ("seeds = 0", ["--seeds", "'0'"]),
        ("seeds = [7, 'x']", ["seeds", "'x'"]),
        ("methods = ['magnitud']", ["Did you mean 'magnitude'?"]),
        (r'data_dir = "a\u0000"', ["f.toml", "'data_dir'", "NUL"]),
    ],
)
def test_a_mistake_in_a_file_of_options_too(text: str, said: list[str]) -> None:
    Path("f.toml").write_text(text)
    assert_refused(bench("run", "--config", "f.toml"), *said)


@pytest.mark.parametrize("name", ["settings", "identity", "readme", "published", "demo-kept"])
def test_a_suite_never_takes_the_name_of_another_file(name: str, tmp_path: Path) -> None:
    assert_refused(quick(tmp_path / "runs", "--name", name), f"'{name}'", "--name")


@pytest.mark.parametrize("content", ["[]", "{}", '{"precision": "fp'])
def test_damaged_settings_are_not_taken_for_a_new_folder(content: str, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(content)
    assert_refused(quick(tmp_path), "settings.json", "remove it")


def test_the_precision_of_a_run_folder_is_kept(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_json(runs / "settings.json", {"precision": "fp32", "threads": 1})
    assert_refused(quick(runs, "--precision", "bf16"), "fp32", "bf16", "--runs")


def test_the_threads_of_a_run_folder_are_kept(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_json(runs / "settings.json", {"precision": "fp32", "threads": 2})
    assert_refused(quick(runs, "--threads", "3"), "2 threads each", "--runs", "for 3")


@pytest.mark.parametrize("place", ["/proc/runs", "file", "file/below"])
def test_a_run_folder_that_cannot_be_written_is_named(place: str) -> None:
    Path("file").touch()
    assert_refused(quick(Path(place)), f"{place} cannot be written")


def test_a_folder_named_like_markup_is_printed_as_it_is(tmp_path: Path) -> None:
    runs = tmp_path / "[red]" / "[" / "x]"
    result = quick(runs, methods="majority")
    assert result.status == 0
    assert f"The page: {runs}/" in result.out


def test_a_storage_that_nothing_is_kept_in_is_said(tmp_path: Path) -> None:
    result = quick(tmp_path, "--storage", "sqlite:///studies.db", "--dry-run")
    assert (result.status, "--storage is not used" in result.out) == (0, True)


def test_the_command_line_wins_over_a_file_of_options(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    file = tmp_path / "suite.toml"
    file.write_text(
        'methods = ["majority", "magnitude"]\ntasks = "demo-sentiment"\nepochs = 1\n'
        f'ratios = [4, 8]\nworkers = 1\nmax-train-samples = 600\nname = "filed"\nruns = "{runs}"'
    )
    assert bench("run", "--config", file, "--ratios", "3").status == 0
    assert set(records(runs)) == {("dense", 1, 0), ("majority", 1, 0), ("magnitude", 3, 0)}
    page = (runs / "filed.md").read_text()
    assert "bench run --methods majority,magnitude --tasks demo-sentiment --epochs 1" in page
    assert "--ratios 3" in page
    assert str(tmp_path) not in page


def test_a_dry_run_runs_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    result = quick(runs, "--dry-run")
    assert result.status == 0
    assert "2 cells, 0 done, 2 to run after 2 trials" in result.out  # which show convergence
    assert "4 trainings" in result.out
    assert not runs.exists()
    quick(runs)
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    assert "2 done, 0 to run" in quick(runs, "--dry-run").out
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


def test_a_command_to_repeat_says_a_precision_that_was_not_said(tmp_path: Path) -> None:
    """Another machine's hardware would choose another."""
    assert quick(tmp_path / "demo", methods="majority").status == 0
    said_it = ("--precision", "bf16", "--name", "said")
    assert quick(tmp_path / "bf16", *said_it, methods="majority").status == 0
    assert quick(tmp_path / "bf16", "--name", "other", methods="majority").status == 0  # it rules
    said = {
        path.stem: json.loads(path.read_text())["commands"][0].partition("--precision ")[2]
        for path in tmp_path.glob("*/suites/*.json")
    }
    assert said == {"demo": "", "said": "bf16 --name said", "other": "bf16"}  # the demo has its own
