"""Stages what the documentation site is built from, and checks what came out.

    python docs/site.py stage build/site     # then: zensical build --clean --strict
    python docs/site.py check build/html     # every link and every picture leads somewhere

The Markdown of the repository is staged as it lies there, so that its links hold in both places.
The pages of methods, tasks and commands are written from the program itself.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bench import registry
from bench.cli.main import COMMANDS, main
from bench.leaderboard.markdown import code_block, escape, pipe

ROOT = Path(__file__).parents[1]
STAGED = ("*.md", "CITATION.cff", "LICENSE", "docs/*.md", "docs/*.png", "docs/*.css",
          "leaderboards/*.md", "leaderboards/*.svg", "tests/plugin/**/*.py", "tests/plugin/*.md",
          "tests/plugin/*.toml")  # fmt: skip


def stage(folder: Path) -> None:
    """Lays out what the site is built from, in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for pattern in STAGED:
        for path in ROOT.glob(pattern):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    reference = folder / "reference"
    reference.mkdir()
    for write in (methods, tasks, commands, python):
        (reference / f"{write.__name__}.md").write_text(write(), encoding="utf-8")


def said(*words: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(list(words))
    return out.getvalue()


def methods() -> str:
    """A section a method: what is declared of it, and its parameters."""
    parts = [
        "# Methods\n\nWritten from what each method declares; `bench describe NAME` shows the same."
    ]
    for name in _own(registry.methods):
        facts = json.loads(said("describe", name, "--json"))
        parameters = facts.pop("parameters", [])
        parts += [f"## `{name}`", *_facts(facts)]
        if parameters:
            heads = list(parameters[0])
            parts.append(pipe(heads, [[_text(row[head]) for head in heads] for row in parameters]))
    return "\n\n".join(parts) + "\n"


def tasks() -> str:
    """A section a task."""
    parts = [
        "# Tasks\n\nWritten from what each task declares; `bench describe NAME` shows the same."
    ]
    for name in _own(registry.tasks):
        parts += [f"## `{name}`", *_facts(json.loads(said("describe", name, "--json")))]
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """A section a command: its `--help`."""
    parts = ["# Command line\n\nWritten from `--help` of each command."]
    for name in ("", *COMMANDS):
        words = [name] if name else []
        parts += [
            f"## `{' '.join(['bench', *words])}`",
            code_block(said(*words, "--help").strip().split("\n")),
        ]
    return "\n\n".join(parts) + "\n"


def python() -> str:
    """What a method, a plugin or a notebook may use, by the file that it stands in."""
    exports = re.findall(r"from (\S+) import (\w+) as", (ROOT / "bench/__init__.pyi").read_text())
    parts = ["# Python\n\nAll of it is imported from `bench` itself, such as `bench.run`."]
    for module, pairs in itertools.groupby(exports, key=lambda pair: pair[0]):
        parts.append(f"## `{module}`")
        parts += [f"::: {module}.{name}" for _, name in pairs]
    return "\n\n".join(parts) + "\n"


def _own(kind: registry.Registry[Any]) -> list[str]:
    """The names that come with the package, whatever else is installed."""
    return [name for name in kind.names() if kind.distribution(name).startswith("prunebench")]


def _facts(facts: dict[str, Any]) -> list[str]:
    """What is declared, but for what is not there and what a section's head says already."""
    said_above = ("method", "task", "distribution", "summary")
    rows = [
        [name.replace("_", " "), _text(value)]
        for name, value in facts.items()
        if name not in said_above and value
    ]
    return [escape(facts.get("summary", "")), pipe(["declared", "as"], rows)]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{key}: {line}" for key, line in value.items()]
    if isinstance(value, list):
        return ", ".join(map(str, value))
    words = {None: "–", True: "yes", False: "no"}
    return words[value] if isinstance(value, bool | None) else str(value)


class Links(HTMLParser):
    """The places that a page leads to, and those in it that others may lead to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes note of what a tag leads to, and of its name."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.leads.append(value)
            elif value and (name == "id" or (tag == "a" and name == "name")):
                self.places.add(value)


def broken(site: Path) -> list[str]:
    """What leads nowhere, and what would be loaded from elsewhere; links to elsewhere are left."""
    pages = {path: Links(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for page, links in pages.items():
        for lead in links.leads:
            parts = urlsplit(lead)
            if parts.scheme or parts.netloc or lead.startswith("data:"):
                continue
            base = site if parts.path.startswith("/") else page.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
            if target.is_dir():
                target /= "index.html"
            place = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{page.relative_to(site)}: {lead} leads nowhere")
            elif (
                place and target in pages and place not in pages[target].places and place != "__top"
            ):
                found.append(f"{page.relative_to(site)}: {lead} has no such place")
    return found


if __name__ == "__main__":
    what, where = sys.argv[1:]
    if what == "stage":
        stage(Path(where))
    elif wrong := broken(Path(where).resolve()):
        sys.exit("\n".join(wrong))
