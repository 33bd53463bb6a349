"""The documentation: its links lead somewhere, and its commands run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness import ROOT, bench

from bench.results.store import Store

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("leaderboards/*.md")])
SITE = ROOT / "docs" / "site.py"
INPUTS = {"GLUE_DIR": "BENCH_GLUE_DIR", "MODEL_DIR": "BENCH_MODEL_DIR"}


def commands(page: Path) -> list[str]:
    """The commands of a page that are whole: nothing of them is left out by `…`."""
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("bench ") and "…" not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if link and not (page.parent / link).exists()] == []


@pytest.mark.slow
def test_what_the_start_shows_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one folder; what needs data or an encoder is planned, where there are some."""
    monkeypatch.chdir(tmp_path)
    said = commands(ROOT / "docs" / "start.md")
    assert len(said) >= 7
    for command in said:
        words = known(command)
        if words is not None:
            result = bench(*words, *(["--dry-run"] if "runs/mine" in words else []))
            assert (result.status, "Traceback" in result.err) == (0, False), result.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "command"),
    [
        (page, command)
        for page in PAGES
        for command in commands(page)
        if command.startswith("bench run") and page.name != "start.md"
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_every_run_of_the_documentation_can_be_planned(page: Path, command: str, tmp_path) -> None:
    words = known(command)
    if words is None:
        pytest.skip(f"{page.name}: it needs data, an encoder or records that are not here")
    result = bench(*words, "--dry-run", *([] if "--runs" in words else ["--runs", tmp_path]))
    assert result.status == 0, result.err


def known(command: str) -> list[str] | None:
    """A command's words with its placeholders filled in; nothing where that cannot be."""
    for place, variable in INPUTS.items():
        if place in command and variable not in os.environ:
            return None
        command = command.replace(place, os.environ.get(variable, ""))
    if "CELL" in command:
        kept = [r.id for r in Store(Path("runs/first")).records() if r.has_model]
        command = command.replace("CELL", kept[0])
    if re.search(r"\b[A-Z]{3,}(_DIR)?\b", command) or "--on" in command:
        return None
    return shlex.split(command, comments=True)[1:]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed")
def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(".*", "build", "runs", "records"))
    for words in (
        (place / SITE.relative_to(ROOT), "stage", "build/site"),
        ("-m", "zensical", "build", "--clean", "--strict"),
        (place / SITE.relative_to(ROOT), "check", "build/html"),
    ):
        done = subprocess.run([sys.executable, *words], cwd=place, capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    page = (place / "build" / "html" / "reference" / "methods.html").read_text(encoding="utf-8")
    assert "knowledge-aware" in page
    (place / "build" / "html" / "docs" / "start.html").unlink()
    done = subprocess.run([sys.executable, SITE, "check", "build/html"], cwd=place,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert "start.html leads nowhere" in done.stderr
