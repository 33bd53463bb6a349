"""A part of `benchmarks/chaos.py`: kills, damages, disks and crowds change nothing in silence."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, bench

sys.path.insert(0, str(ROOT / "benchmarks"))
from damages import damaged, drawn_files
from disturbed import SUITE, Tally, outcomes

HERE = (*SUITE, "--methods", "knowledge-aware", "--workers", "1")
"""The same suite in this process, with the method alone that learns from answers that are kept."""

DAMAGES = 4


def test_a_damaged_file_changes_nothing_in_silence(tmp_path: Path) -> None:
    whole, draw, tally = tmp_path / "whole", random.Random(0), Tally("damage")
    assert bench("run", *HERE, "--runs", whole).status == 0
    wanted = outcomes(whole)
    assert len(wanted) == 2

    def command(*words: str | Path) -> tuple[int, str]:
        result = bench(*words)
        return result.status, result.err

    for number, file in enumerate(drawn_files(DAMAGES, draw, whole)):
        damaged(tmp_path / f"{number}", whole, file, draw, wanted, HERE, command, tally)
    assert (tally.made, tally.wrong) == (DAMAGES, [])


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_differs_in_silence() -> None:
    script = ROOT / "benchmarks" / "chaos.py"
    much = ("--kills", "2", "--worker-kills", "1", "--damages", "4", "--crowds", "2")
    done = subprocess.run([sys.executable, script, *much], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")]
    made = [int(row[2]) for row in rows[2:]]
    assert made[:4] == [2, 1, 3, 1]
    assert made[-1] == 1
