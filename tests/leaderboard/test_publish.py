"""The pages that lie in `leaderboards/`: their claims of effort, and the check that guards them."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from harness import PAGES, bench

from bench.results.suites import open_suite, read_records

SUITES = sorted(path.stem for path in (PAGES / "records").glob("*.json"))


@pytest.mark.parametrize("suite", SUITES)
def test_every_trained_row_had_the_same_effort(suite: str) -> None:
    trials = open_suite(PAGES, suite).suite["settings"]["trials"]
    efforts: dict[str, set[str]] = {}
    for record in read_records(PAGES, suite):
        if record.status not in ("ok", "missed") or not record.cost["steps"]:
            continue  # majority trains nothing, and what failed or is unreachable has no figure
        tuning = record.tuning
        assert tuning["trials"] == trials or "from" in tuning, record.cell
        each = {steps for steps in tuning.get("steps", []) if steps is not None}  # none: it failed
        made = (tuning["trials"], each, record.cost["steps"])
        efforts.setdefault(record.cell["task"], set()).add(str(made))
    assert efforts
    assert all(len(made) == 1 for made in efforts.values()), efforts


def test_the_check_finds_one_changed_digit(tmp_path: Path) -> None:
    out = Path(shutil.copytree(PAGES, tmp_path / "pages"))
    pinned = re.search(r"^matplotlib==(\S+)", (PAGES.parent / "constraints.txt").read_text(), re.M)
    if pinned is None or version("matplotlib") != pinned[1]:  # whose figures have other bytes
        assert bench("leaderboard", "--out", out).status == 0
    assert bench("leaderboard", "--check", "--out", out).status == 0
    for suite in SUITES:
        path = out / "records" / f"{suite}.jsonl"
        text = path.read_text()
        (found, *_) = re.finditer(r'"score": \d+\.\d*?(\d)(?=[,}])', text)
        digit = str((int(found[1]) + 1) % 10)
        path.write_text(text[: found.start(1)] + digit + text[found.end(1) :])
    result = bench("leaderboard", "--check", "--out", out)
    assert result.status == 1
    assert all(f"/{suite}.json is not what its records give" in result.err for suite in SUITES)
