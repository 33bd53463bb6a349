"""The pages that lie in `leaderboards/`: what they claim, and the check that guards them."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from harness import PAGES, bench

from bench.leaderboard.reading import MOST_BULLETS, MOST_COMPUTED, MOST_WORDS, split_bullets
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


def bullets_of(page: Path) -> list[str]:
    """The bullets under the heading of what a page shows, up to the next heading."""
    (found,) = re.findall(
        r"^## What this shows, and what it cannot\n(.*?)^## ", page.read_text(), re.M | re.S
    )
    return split_bullets(found)


@pytest.mark.parametrize("suite", SUITES)
def test_a_page_has_five_short_bullets_at_most(suite: str) -> None:
    bullets = bullets_of(PAGES / f"{suite}.md")
    written = split_bullets((PAGES / "suites" / f"{suite}.md").read_text())
    assert MOST_BULLETS == 5
    assert MOST_WORDS == 30
    assert len(written) < len(bullets) <= 5
    assert bullets[-len(written) :] == written
    assert len(bullets) - len(written) <= MOST_COMPUTED
    for bullet in bullets:
        assert len(bullet.split()) <= 30, bullet


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- One.\n- Two.\n- Three.\n- Four.\n", "has 4 bullets, and 2 are computed"),
        ("- " + "word " * 31, "the bullet 'word word word word word …' has 31 words: 30 at most"),
        ("A sentence.\n", "'A sentence.' is no bullet"),
    ],
)
def test_a_reading_that_is_too_long_stops_the_publishing(
    text: str, said: str, tmp_path: Path
) -> None:
    out = tmp_path / "pages"
    for ending in ("json", "jsonl", "parquet"):
        (out / "records").mkdir(parents=True, exist_ok=True)
        shutil.copy(PAGES / "records" / f"glue-mini-flops.{ending}", out / "records")
    (out / "suites").mkdir()
    (out / "suites" / "glue-mini-flops.md").write_text(text)
    result = bench("leaderboard", "--out", out)
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "suites/glue-mini-flops.md" in result.err
    assert said in result.err
    assert not (out / "glue-mini-flops.md").exists()


def test_the_index_has_a_row_for_each_page_and_links_to_the_papers_figures() -> None:
    index = (PAGES / "README.md").read_text()
    for suite in SUITES:
        (line,) = re.findall(rf"^\| \[{suite}\]\({suite}\.md\) .*$", index, re.M)
        page = (PAGES / f"{suite}.md").read_text()
        _, _, encoder, tasks, compression, competitors, controls, _ = map(
            str.strip, line.split("|")
        )
        assert page.startswith(f"# {suite}: {encoder}, matched on")
        assert all(f"| {task} " in page for task in tasks.split(", "))
        assert f"## {compression}" in page
        few = "Fewer than 5 seeds: no ranks." in page
        assert ("(rank 1)" in competitors) is not few
        assert "(rank" not in controls
        assert "dense" in controls
    assert "[published](published.md)" in index


def test_the_check_finds_one_changed_digit(tmp_path: Path) -> None:
    out = Path(shutil.copytree(PAGES, tmp_path / "pages"))
    pinned = re.search(r"^matplotlib==(\S+)", (PAGES.parent / "constraints.txt").read_text(), re.M)
    if pinned is None or version("matplotlib") != pinned[1]:  # whose figures have other bytes
        assert bench("leaderboard", "--out", out).status == 0
    assert bench("leaderboard", "--check", "--out", out).status == 0
    for suite in SUITES:
        path = out / "records" / f"{suite}.jsonl"
        text = path.read_text()
        (found, *_) = re.finditer(r'"wall_s": \d+\.\d*?(\d)(?=[,}])', text)
        digit = str((int(found[1]) + 1) % 10)
        path.write_text(text[: found.start(1)] + digit + text[found.end(1) :])
    result = bench("leaderboard", "--check", "--out", out)
    assert result.status == 1
    assert all(f"/{suite}.json is not what its records give" in result.err for suite in SUITES)


def test_a_changed_score_is_refused_in_one_line(tmp_path: Path) -> None:
    out = Path(shutil.copytree(PAGES, tmp_path / "pages"))
    path = out / "records" / "knowledge.jsonl"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(re.sub(r'"score": \d', '"score": 1', first) + "\n" + rest)
    cell = json.loads(first)["id"]
    before = {page: page.read_bytes() for page in out.glob("*.md")}
    for words in ((), ("--check",)):
        result = bench("leaderboard", "--out", out, *words)
        assert (result.status, result.err.count("\n")) == (2, 1)
        assert f"{path}: cell {cell} (" in result.err
        assert "the mean of its figures is" in result.err
    assert {page: page.read_bytes() for page in out.glob("*.md")} == before
