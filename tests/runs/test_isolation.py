"""What a plugin's method may not do to other cells, nor to what its own model is measured by."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness import QUICK, alive, outcomes, quick, records, start, statuses
from unruly import wait_until

pytestmark = pytest.mark.usefixtures("unruly")


def alone(folder: Path, method: str) -> dict[str, object]:
    """What comes of a method that shares its process with none but the dense model."""
    assert quick(folder, methods=method).status == 0
    return outcomes(folder)[method, 4, 0]


def test_a_cell_after_one_that_changed_its_process_is_the_same(runs, tmp_path, monkeypatch) -> None:
    """In the same process, to the last digit."""
    monkeypatch.chdir(tmp_path)
    assert quick(Path("runs"), methods="changes,magnitude").status == 0
    assert statuses(runs) == {"dense": "ok", "changes": "ok", "magnitude": "ok"}
    assert outcomes(runs)["magnitude", 4, 0] == alone(tmp_path / "alone", "magnitude")


def test_what_a_method_changes_has_no_part_in_what_its_model_is_measured_by(runs, tmp_path) -> None:
    assert quick(runs, methods="changes").status == 0
    assert quick(tmp_path / "other", methods="counted").status == 0
    changed, tidy = records(runs)["changes", 4, 0], records(tmp_path / "other")["counted", 4, 0]
    assert (changed.score, changed.scores) == (tidy.score, tidy.scores)
    assert changed.footprint == tidy.footprint
    folder, other = runs / changed.id, tmp_path / "other" / tidy.id
    for name in ("model/model.safetensors", "predictions.parquet"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()
    written = [folder, *(path for path in folder.rglob("*") if path.name != ".model")]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in written)


def test_what_a_plugin_puts_in_the_place_of_others_ends_with_its_cell(runs, tmp_path) -> None:
    """With one worker."""
    assert quick(runs, methods="patches,magnitude", in_workers=True).status == 1
    assert statuses(runs) == {"dense": "ok", "patches": "failed", "magnitude": "ok"}
    assert outcomes(runs)["magnitude", 4, 0] == alone(tmp_path / "alone", "magnitude")


@pytest.mark.parametrize("how", ["exits", "returns"])
def test_what_a_method_leaves_running_ends_with_its_cell(runs, unruly, how) -> None:
    if how == "returns":
        (unruly / "open").touch()
    assert quick(runs, methods="leaves-a-child", in_workers=True).status == 1
    children = [int(line) for line in (unruly / "children").read_text().split()]
    assert children
    wait_until(lambda: not any(map(alive, children)))


@pytest.mark.slow
def test_a_reference_is_made_before_a_plugin_changes_anything(runs, tmp_path) -> None:
    assert quick(tmp_path / "other", "--shard", "1/2", methods="asks-ungraded").status == 0
    assert statuses(tmp_path / "other") == {"dense": "ok"}
    assert quick(runs, "--shard", "2/2", methods="asks-ungraded").status == 0
    assert statuses(runs) == {"asks-ungraded": "ok"}
    ours, other = (
        sorted(f.glob("references/*/model.safetensors")) for f in (runs, tmp_path / "other")
    )
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in other]


@pytest.mark.slow
def test_what_a_plugin_makes_of_its_teacher_no_other_method_learns_from(runs, tmp_path) -> None:
    taught = "magnitude:teacher=finetuned"
    assert quick(runs, methods=f"spoils-teacher,{taught}").status == 0
    assert outcomes(runs)[taught, 4, 0] == alone(tmp_path / "alone", taught)


def test_a_cell_that_takes_too_long_ends_and_the_run_goes_on(runs) -> None:
    assert quick(runs, methods="random-mask").status == 0
    methods = "sleeps,random-mask"
    result = quick(runs, "--cell-hours", "0.0003", methods=methods, in_workers=True)
    assert result.status == 1
    assert statuses(runs) == {"dense": "ok", "random-mask": "ok", "sleeps": "failed"}
    before = records(runs)["sleeps", 4, 0]
    assert (before.error or {})["message"] == "it took longer than --cell-hours 0.0003"
    assert (before.error or {})["type"] == "LimitError"
    again = quick(
        runs, "--cell-hours", "0.0002", "--rerun", "failed", methods=methods, in_workers=True
    )
    assert (again.status, "2 done, 1 to run" in again.out) == (1, True)
    after = records(runs)["sleeps", 4, 0]
    assert after.id == before.id  # no limit is part of what a cell is
    assert "--cell-hours 0.0002" in (after.error or {})["message"]


def test_a_cell_that_takes_too_much_memory_ends(runs) -> None:
    file = runs.parent / "options.toml"
    file.write_text("cell-memory-gb = 2.5\n")
    result = quick(runs, "--config", file, methods="swells", in_workers=True)
    assert result.status == 1
    assert statuses(runs) == {"dense": "ok", "swells": "failed"}
    assert "it took more memory than --cell-memory-gb 2.5" in result.err


@pytest.mark.slow
def test_nobody_asks_on_standard_input(runs) -> None:
    command = ("run", *QUICK, "--methods", "asks", "--runs", runs)
    with start(*command, stdin=subprocess.PIPE) as run:
        run.communicate("y\n", timeout=120)
    assert run.returncode == 1
    assert (records(runs)["asks", 4, 0].error or {})["message"] == "heard b'', ''"
