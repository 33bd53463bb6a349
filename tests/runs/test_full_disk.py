"""Disks that are full, or become so: what is done is kept, and one line says it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import quick, records, statuses

pytestmark = pytest.mark.usefixtures("unruly")


def test_a_disk_that_becomes_full_ends_the_run_and_keeps_what_is_done(runs, unruly) -> None:
    result = quick(runs, methods="magnitude,full-disk,random-mask")
    assert result.status == 1
    assert result.err.startswith(f"bench: {runs} cannot be written: ")
    assert "No space left" in result.err
    assert result.err.count("\n") == 1
    assert statuses(runs) == {"dense": "ok", "magnitude": "ok"}
    (unruly / "open").touch()
    assert quick(runs, methods="magnitude,full-disk,random-mask").status == 0
    assert set(statuses(runs).values()) == {"ok"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3000k", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_real_disk_fills_up(small_disk: Path, workers: str) -> None:
    ratios = ",".join(map(str, range(2, 30)))
    result = quick(small_disk / "runs", "--ratios", ratios, "--workers", workers,
                   "--keep-models", "all")  # fmt: skip
    assert result.status == 1
    assert "No space left" in result.err
    assert result.err.count("\n") == 1
    found = records(small_disk / "runs")
    assert 0 < len(found) < 29
    assert {record.status for record in found.values()} == {"ok"}


def test_a_disk_that_is_full_from_the_start_runs_nothing(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass
    result = quick(small_disk / "runs")
    assert result.status == 2
    assert result.err.startswith(f"bench: {small_disk / 'runs'} cannot be written: ")
    assert result.err.count("\n") == 1
