"""No page, table, chart or line obeys what a record, a suite, a study or a claim says."""

from __future__ import annotations

import copy
import csv
import functools
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from example_page import FOLDER
from hostile import ENDS, WORD, example, with_text
from markdown_it import MarkdownIt

from bench.errors import BenchError
from bench.leaderboard.markdown import escape
from bench.leaderboard.page import Page, make_page
from bench.leaderboard.papers import make_published
from bench.leaderboard.plots import label
from bench.leaderboard.spreadsheet import FORMULA, text_cell
from bench.leaderboard.text import tables_of
from bench.results.derived import checked
from bench.results.layout import SuiteFile
from bench.results.predictions import Predictions
from bench.results.received import Received
from bench.results.record import Record
from bench.results.studies import PublishedStudy
from bench.results.validation import findings
from bench.schema import check
from bench.shown import shown

TEXTS = (
    "=cmd|' /C calc'!A0 <script>alert(1)</script> &lt;b&gt; $x^2$ \x1b[31m \u202e back",
    "- <img src=x onerror=alert(1)> [x](javascript:alert(1)) ![y](z) ``` ~~a~~ *b* __c__",
    "\n# Heading\n\n```\n| a |\n---\n1. x\r\t\x00\x7f\x9b31m \ud800 \u2028 \ufeff \u200b",
    "1. \\` `` $$ {x} | x | </details></sub> ]]> <!-- \\| \\",
)
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@functools.cache
def page_of(text: str, *, carried: bool = True) -> Page:
    suite, found, studies = with_text(text, carried=carried)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    answers = {r.id: Predictions(labels, np.where(rng.random(40) < 0.8, labels, 1 - labels))
               for r in found if r.score is not None}  # fmt: skip
    return make_page(suite, found, FOLDER, answers.get, studies=studies)


def structure(markdown: str) -> list[str]:
    """What a reader of Markdown finds in it, but for the texts."""
    found = []
    for token in READER.parse(markdown):
        found.append(token.type)
        if token.type == "html_block":
            found.append(token.content)
        for part in token.children or []:
            if part.type != "text":
                found.append(part.content if part.type == "html_inline" else part.type)
    return found


def texts_of(markdown: str) -> str:
    """All that a reader of Markdown shows."""
    parts = [part.content for token in READER.parse(markdown) for part in token.children or []]
    return "\n".join([*parts, *(t.content for t in READER.parse(markdown) if t.type == "fence")])


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_a_page_has_the_structure_that_it_has_with_harmless_texts(text: str, carried: bool) -> None:
    page, harmless = (page_of(said, carried=carried) for said in (text, WORD))
    assert structure(page.markdown) == structure(harmless.markdown)
    assert set(page.files) == set(harmless.files)
    for path, content in page.files.items():
        assert all(one.isprintable() or one == "\n" for one in content), path
    outside = re.sub(r"^(`{3,})$.*?^\1$", "", page.markdown, flags=re.M | re.S)
    assert not re.search(r"(?<!\\)\$", outside.replace("\\\\", ""))  # no formula on any site
    collapsed = shown(" ".join(text.split()))
    was = texts_of(harmless.markdown).count(WORD)
    assert texts_of(page.markdown).count(collapsed) > 0.8 * was > 30


@pytest.mark.parametrize("text", TEXTS)
def test_a_chart_is_whole_and_shows_names_as_they_are(text: str) -> None:
    page = page_of(text)
    charts = {path: svg for path, svg in page.files.items() if path.suffix == ".svg"}
    assert len(charts) > 2
    named = 0
    for svg in charts.values():
        tree = ElementTree.fromstring(svg)
        assert not [e for e in tree.iter() if e.tag.rpartition("}")[2] in ("script", "a")]
        named += sum(" ".join(label(text).split()) in " ".join((e.text or "").split())
                     for e in tree.iter())  # fmt: skip
    assert named >= 2


@pytest.mark.parametrize("text", TEXTS)
def test_a_spreadsheet_takes_no_text_for_a_formula(text: str) -> None:
    heads, *rows = csv.reader(io.StringIO(page_of(text).files[FOLDER / "example.csv"]))
    _, *others = csv.reader(io.StringIO(page_of(WORD).files[FOLDER / "example.csv"]))
    assert len(rows) == len(others) > 4
    columns = {name: [row[heads.index(name)] for row in rows] for name in heads}
    assert text_cell(text) in columns["method"]
    assert text_cell(text) in columns["engine"]
    for name, cells in columns.items():
        if name in ("method", "task", "engine"):
            assert not any(cell.lstrip().startswith(FORMULA) for cell in cells)
        else:
            assert all(cell == "" or np.isfinite(float(cell)) for cell in cells)


def test_numbers_keep_their_signs_in_a_spreadsheet() -> None:
    for text in ("-x", "+1", "=A1", "@SUM(A1)", "＝1", " =1"):
        assert text_cell(text) == f"'{text}"
    assert text_cell("\t=1") == r"\t=1"
    assert text_cell("magnitude:scope=global") == "magnitude:scope=global"
    suite, found, _ = with_text(WORD)
    negative = [replace(r, score=-5.5, scores={"matthews": -5.5}) if r.score else r for r in found]
    assert ",-5.5," in make_page(suite, negative, FOLDER).files[FOLDER / "example.csv"]


@pytest.mark.parametrize("text", TEXTS)
def test_json_and_what_a_terminal_or_notebook_shows_hold_nothing_raw(text: str) -> None:
    page = page_of(text)
    plain = page.files[FOLDER / "example.json"]
    assert plain.isascii()
    assert text in {row["method"] for row in json.loads(plain)["rows"]}
    assert all(one.isprintable() or one == "\n" for one in tables_of(page))

    found: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(tag)

    Tags().feed(tables_of(page, "html"))
    assert found == {"p", "h4", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", TEXTS)
def test_published_figures_are_escaped(text: str, tmp_path: Path) -> None:
    def page(said: str) -> str:
        quoted = json.dumps(said.encode("utf-8", "replace").decode().replace("\x7f", ""))
        keys = ("id", "title", "source", "model", "split", "differs")
        lines = [f"{key} = {quoted}" for key in keys]
        lines += [f"methods = [{quoted}]", f"columns = [{quoted}]", f"rows = [[{quoted}]]",
                  f"notes = [{quoted}]"]  # fmt: skip
        (tmp_path / "published.toml").write_text("[[table]]\n" + "\n".join(lines) + "\n")
        return make_published(tmp_path / "published.toml", [])

    assert structure(page(text)) == structure(page(WORD))
    assert all(one.isprintable() or one == "\n" for one in page(text))


WRONG: tuple[Any, ...] = (
    None, True, 1, -1, 0.5, 1e99, 10**30, "x", "", [], {}, [1], ["x"], {"a": 1}, {"a": "x"}, ...
)  # fmt: skip


def wrong_types() -> Iterator[tuple[dict[str, Any], list[Any], list[Any]]]:
    """The example, each time with another value at one place, or with nothing there."""
    for carried in (True, False):
        suite, found, studies = example(carried=carried)
        parts = {"suite": suite, "dense": found[0], "other": found[-len(ENDS)], "study": studies[0]}
        for name, part in parts.items():
            for path, value in itertools.product(places(part), WRONG):
                one = {**parts, name: put(part, path, value)}
                records = [one["dense"], *found[1 : -len(ENDS)], one["other"]]
                yield one["suite"], [*records, *found[1 - len(ENDS) :]], [one["study"]]


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in inner:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The data with a value at a path; with `...`, nothing is there."""
    level = changed = copy.deepcopy(data)
    for step in path[:-1]:
        level = level[step]
    if value is ...:
        del level[path[-1]]
    else:
        level[path[-1]] = value
    return changed


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_a_field_of_the_wrong_type_is_one_line_or_makes_a_page(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.leaderboard.page.make_charts", lambda *_: ({}, []))
    made = refused = 0
    for suite, found, studies in itertools.islice(wrong_types(), 0, None, every):
        try:
            check(suite, SuiteFile)
            records = [Record.from_json(record) for record in found]
            for study in studies:
                check(study, PublishedStudy)
            sent = Received(FOLDER, suite, {r.id: ("", r) for r in records},
                            {study["id"]: ("", study) for study in studies})  # fmt: skip
            list(findings(sent, ["dense"], ["cola"]))
            answers = checked(records, lambda _: None, "x.jsonl", lambda _: "restore the file")
        except BenchError:
            refused += 1
            continue
        page = make_page(suite, records, FOLDER, answers, studies=studies)
        numbers = page.files[page.path.with_suffix(".json")]
        assert not re.search("NaN|Infinity", numbers)
        made += 1
    assert made > 100 / every
    assert refused > 1000 / every


@pytest.mark.parametrize("text", [*TEXTS, "---", "===", "2) x", "-5 x", "a - b", "+1.5", "3.5 x"])
def test_escaped_text_reads_as_it_was(text: str) -> None:
    for around in ("{}", "- {}", "{}.", "x\n\n{}\n\nx", "x\n{}"):
        assert structure(around.format(escape(text))) == structure(around.format("harmless"))
    (paragraph,) = [t for t in READER.parse(escape(text)) if t.type == "inline"]
    read = "".join(part.content for part in paragraph.children or [])
    assert read == shown(" ".join(text.split()))
