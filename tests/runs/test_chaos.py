"""A part of `benchmarks/chaos.py`: kills, damages and crowds lose nothing and change nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from harness import ROOT


@pytest.mark.parametrize(
    "much",
    [
        ("--kills", "1", "--worker-kills", "1", "--damages", "4", "--crowds", "2", "--no-disks"),
        pytest.param(("--kills", "8", "--worker-kills", "3", "--damages", "32", "--crowds", "4"),
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_nothing_is_lost_and_nothing_differs_in_silence(much: tuple[str, ...]) -> None:
    script = ROOT / "benchmarks" / "chaos.py"
    done = subprocess.run([sys.executable, script, *much], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) >= 2 + 5
    for wanted, row in zip((much[1], much[3]), rows[2:], strict=False):
        assert row.split("|")[2].strip() == wanted
