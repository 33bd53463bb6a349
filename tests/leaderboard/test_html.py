"""HTML pages without a browser: the same bytes, small, escaped, and what stands in them."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_page import FOLDER, records, suite
from harness import PAGES, bench
from hostile import WORD, with_text
from markupsafe import Markup

from bench.answers import text_column
from bench.leaderboard.html.assets import Assets
from bench.leaderboard.html.data import differing
from bench.leaderboard.html.page import MOST_BYTES, suite_page
from bench.leaderboard.page import Page, make_page
from bench.leaderboard.templating import render_html
from bench.results.predictions import Predictions
from bench.results.record import slim

NONE = Assets(Markup(), Markup(), Markup(), "'none'", "'none'")
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "\" onmouseover=alert(1) ' {{ 7*7 }} {% raw %} <!-- \x00data\x00 ]]> &lt;b&gt;",
    "[x](javascript:alert(1)) ![y](z) <details><sub></details> \u202e \ud800 ``` | a |",
)
library = pytest.mark.skipif(
    importlib.util.find_spec("vl_convert") is None, reason="vl-convert is not installed"
)


@pytest.fixture(autouse=True)
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the Markdown page are no part of this."""
    monkeypatch.setattr("bench.leaderboard.page.make_charts", lambda *_: ({}, []))


class Structure(HTMLParser):
    """The elements of a page, their attributes' names, and what the script is given."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.data, self._in_data = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self._in_data = ("id", "data") in attrs

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False


@functools.cache
def page_of(text: str = WORD) -> Page:
    asked, found, studies = with_text(text)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    answers = {r.id: Predictions(labels, np.where(rng.random(40) < 0.8, labels, 1 - labels))
               for r in found if r.score is not None}  # fmt: skip
    return make_page(asked, found, FOLDER, answers.get, studies=studies)


@functools.cache
def html_of(text: str = WORD) -> str:
    return suite_page(page_of(text), NONE, in_folder=True)


def data_of(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Structure(text).data)
    return data


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_an_element_an_attribute_or_the_end_of_the_data(text: str) -> None:
    found, harmless = Structure(html_of(text)), Structure(html_of())
    assert found.found == harmless.found
    assert len(found.found) > 300
    assert not [
        link for link in found.links if not re.match(r"#|[\w-]+\.html$|https://arxiv", link)
    ]
    shown = html_of(text).replace("\n", "")
    assert all(one.isprintable() for one in shown)
    assert text in {row["method"] for row in json.loads(found.data)["rows"]}


def test_of_html_in_markdown_only_what_our_pages_use_is_taken() -> None:
    text = (
        "a <sub>b</sub> <b onclick=x>c</b>\n\n<details><summary>d</summary>\n\n| e |\n|:--|\n| f |"
    )
    shown = render_html("published.html", assets=NONE, text=text).partition('<main id="main"')[2]
    tags = {tag for tag, *_ in Structure(shown).found}
    assert {"sub", "details", "summary", "table", "td"} <= tags
    assert "b" not in tags
    assert "&lt;b onclick=x&gt;" in shown
    assert "style=" not in shown


def test_links_lead_to_the_html_page_and_never_to_a_script() -> None:
    text = "[a](demo.md) [b](README.md) [c](https://x.org/y.md) [d](javascript:alert(1))"
    shown = render_html("published.html", assets=NONE, text=text)
    links = Structure(shown).links
    assert links[-3:] == ["demo.html", "index.html", "https://x.org/y.md"]


def test_the_table_has_what_the_markdown_tables_have_and_says_why_there_is_no_rank() -> None:
    page = make_page(suite(records()), records(), FOLDER)
    text = suite_page(page, NONE, in_folder=False)
    cells = [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>",
         row, re.S)]
        for row in re.findall(r"<tr data-row.*?</tr>", text, re.S)
    ]  # fmt: skip
    (scores, costs) = page.tables.values()
    told = zip(scores[1], costs[1], strict=True)
    assert sorted(mine[3:] for mine in cells) == sorted([*one[2:], *two[1:]] for one, two in told)
    reasons = dict(re.findall(r'class="name">([^<]+)<.*?reason">([^<]+)<', text, re.S))
    few = "2 seeds, a rank takes 5"
    assert reasons == {"magnitude": few, "movement": few, "random-mask": "control",
                       "dense": "control"}  # fmt: skip
    assert [row["method"] for row in data_of(text)["rows"]][-1] == "dense"  # once, and last


def test_records_come_back_whole_and_a_value_that_several_have_stands_once() -> None:
    page = page_of()
    data = data_of(html_of())
    pool, fields = data["records"]["pool"], data["records"]["fields"]
    read = [
        {name: pool[value[0]] if isinstance(value, list) else value
         for name, value in zip(fields, cell["values"], strict=True)}
        for cell in data["records"]["cells"]
    ]  # fmt: skip
    assert len(read) == len([r for r in page.records if r.status != "external"])
    by_id = {record.id: json.loads(json.dumps(slim(record))) for record in page.records}
    for record in read:
        assert {k: v for k, v in record.items() if v is not None} == {
            k: v for k, v in by_id[record["id"]].items() if v is not None
        }
    assert len(pool) == len({json.dumps(one) for one in pool})


def test_rows_that_differ_are_those_of_a_plain_count() -> None:
    rng = np.random.default_rng(1)
    labels, mine, theirs = (rng.integers(0, 3, 200) for _ in range(3))
    found = differing(Predictions(labels, mine), Predictions(labels, theirs))
    wanted: dict[str, list[int]] = {"lost": [], "won": [], "other": []}
    for row, (label, one, other) in enumerate(zip(labels, mine, theirs, strict=True)):
        if one != other:
            key = "lost" if other == label else "won" if one == label else "other"
            wanted[key].append(row)
    assert found == wanted
    right = text_column([("a", "b"), (), ("c",)])
    texts = [Predictions(right, text_column(said)) for said in (["b", "x", "d"], ["a", "", "d"])]
    assert differing(*texts) == {"lost": [1], "other": [0]}  # both of the first are right
    assert differing(texts[0], texts[0]) == {}


def test_a_page_of_too_many_records_leaves_them_out_and_says_so() -> None:
    found = [replace(record, params={"learning_rate": 1e-4, "text": f"{i}" * 60_000})
             for i, record in enumerate(records())]  # fmt: skip
    text = suite_page(make_page(suite(found), found, FOLDER), NONE, in_folder=False)
    assert MOST_BYTES / 2 < len(text.encode()) < MOST_BYTES  # a table has the parameters, too
    data = data_of(text)
    assert "records" not in data
    assert "too many records" in data["left_out"]
    assert [row["method"] for row in data["rows"]]


@library
def test_pages_of_a_folder_are_checked_to_the_byte_with_any_release_of_the_library(
    tmp_path: Path,
) -> None:
    out = tmp_path / "pages"
    (out / "records").mkdir(parents=True)
    for path in (PAGES / "records").glob("knowledge.*"):
        shutil.copy(path, out / "records")
    assert bench("leaderboard", "--out", out, "--html").status == 0
    pages = {path: path.read_bytes() for path in out.glob("*.html")}
    assert {path.name for path in pages} == {"index.html", "knowledge.html"}
    assert all(len(text) < MOST_BYTES for text in pages.values())
    (old,) = (out / "assets").glob("vega-*.js")
    old.rename(old.with_name("vega-000000000000.js"))  # that of another release
    assert bench("leaderboard", "--out", out, "--check").status == 1
    for path, text in pages.items():
        path.write_bytes(text.replace(old.name.encode(), b"vega-000000000000.js"))
    assert bench("leaderboard", "--out", out, "--check").status == 0
    assert bench("leaderboard", "--out", out).status == 0  # makes them anew, and asks for nothing
    assert bench("leaderboard", "--out", out, "--html").status == 0
    assert {path: path.read_bytes() for path in out.glob("*.html")} == pages
    assert [path.name for path in (out / "assets").glob("vega-*")] != []
    assert {path.name for path in (out / "assets").iterdir()} == {
        old.name, "vega-licences.txt", "style.css", "page.js", "charts.js",
    }  # fmt: skip
    changed = out / "knowledge.html"
    changed.write_text(changed.read_text().replace("Leaderboard</h2>", "Leaderbord</h2>"))
    (out / "other.html").write_text("")
    wrong = bench("leaderboard", "--out", out, "--check")
    assert wrong.status == 1
    assert "knowledge.html is not what" in wrong.err
    assert "other.html is not what" in wrong.err


def share(count: int, of: int) -> dict[str, Any]:
    interval = [0.05, 0.72] if of else None
    return {"count": count, "of": of, "share": count / of if of else None, "interval": interval}


def closed_round(name: str, author: str) -> dict[str, Any]:
    """What an arena's round came to, of a model that fooled three of eight and its dense one."""
    rates = {"mer": share(3, 8), "vmer": share(2, 8)}
    known = {"accuracy": share(5, 6), "milliseconds": 1.25, "megabytes": 3.5, "dynascore": None}
    return {
        "name": "round-1", "task": "cola", "closed": "2026-11-30T12:00:00+00:00", "votes": 3,
        "agreeing": 2, "written": 8, "validated": 6, "rejected": 1, "waiting": 1,
        "agreement": 0.625, "median_seconds": 31.0,
        "models": [
            {"id": "d", "name": "dense, seed 0", "dense": None, "lost": None, **rates, **known},
            {"id": "a", "name": name, "dense": "d", "lost": share(1, 8), **rates, **known},
        ],
        "authors": [
            {"author": author, "written": 8, "median_seconds": 31.0, "models": {"a": rates}}
        ],
    }  # fmt: skip


def test_a_page_has_what_an_arena_came_to() -> None:
    page = make_page(suite(records()), records(), FOLDER)
    without = suite_page(page, NONE, in_folder=False)
    text = suite_page(page, NONE, in_folder=False, rounds=[closed_round("small 4×", "person-1")])
    assert "arena" not in without.lower()
    section = text.partition('<h2 id="arena">')[2].partition("</section>")[0]
    rows = [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip()
        for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", section, re.S)
    ]
    assert rows == [
        "dense, seed 0 37.5 % 5 to 72 25.0 % 5 to 72 – 83.3 % 5 to 72 1.25 3.50 –",
        "small 4× 37.5 % 5 to 72 25.0 % 5 to 72 12.5 % 5 to 72 83.3 % 5 to 72 1.25 3.50 –",
        "person-1 8 31 s 37.5 % 5 to 72 25.0 % 5 to 72",
    ]
    assert "<strong>0.62</strong> agreement" in section
    assert "Closed 2026-11-30." in section
    plain = Structure(text).found
    for hostile in HOSTILE:
        held = [closed_round(hostile, hostile)]
        assert Structure(suite_page(page, NONE, in_folder=False, rounds=held)).found == plain


def test_texts_are_those_of_rows_that_are_answered_otherwise() -> None:
    page = page_of()
    plain = data_of(html_of())
    assert plain["differs"] and "texts" not in plain
    tasks = {r.id: r.cell["task"] for r in page.records}
    task = tasks[next(iter(plain["differs"]))]
    texts = [(f"{HOSTILE[0]} {row}", "and a second") for row in range(40)]
    shown = suite_page(page, NONE, in_folder=True, texts={task: texts})
    assert Structure(shown).found == Structure(html_of()).found
    differ = {
        row
        for cell, one in plain["differs"].items()
        for rows in one.values()
        for row in rows
        if tasks[cell] == task
    }
    assert 0 < len(differ) <= 40
    held = data_of(shown)["texts"]
    assert list(held) == [task]
    assert held[task]["rows"] == {str(row): list(texts[row]) for row in differ}


@library
def test_one_file_has_everything_in_it(tmp_path: Path) -> None:
    file = tmp_path / "one.html"
    made = bench("leaderboard", "--out", PAGES, "--name", "knowledge", "--html", file)
    assert (made.status, made.out) == (0, f"{file}\n")
    text = file.read_text()
    assert len(text.encode()) < 3_000_000
    assert all(link.startswith(("#", "https://arxiv.org/")) for link in Structure(text).links)
    assert "Redistribution and use in source and binary forms" in text  # the licences
    again = tmp_path / "again.html"
    words = ("--name", "knowledge", "--html", again, "--with-texts")
    made = bench("leaderboard", "--out", PAGES, *words)
    assert made.err.splitlines()
    for line in made.err.splitlines():  # records of before say nothing of licences
        assert re.fullmatch(r"bench: no texts of \w+: nobody has said under which .*", line)
    assert again.read_bytes() == file.read_bytes()


def test_what_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.html"
    for words, said in (
        (("--html", "--check"), "leave --runs and --html"),
        (("--with-texts",), "--with-texts says what --html FILE shows: name a file"),
        (("--name", "demo"), "--name says which suite --html FILE shows"),
        (("--html", file), "has several suites; say --name"),
        (("--html", file, "--name", "demmo"), "unknown suite 'demmo'. Did you mean 'demo'?"),
        (("--html", file, "--runs", "a", "b"), "shows a suite of one folder"),
    ):
        refused = bench("leaderboard", "--out", PAGES, *words)
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert said in refused.err
    known = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec",
                        lambda name: None if name == "vl_convert" else known(name))  # fmt: skip
    monkeypatch.setattr("bench.leaderboard.html.assets._library", _library_anew())
    refused = bench("leaderboard", "--out", PAGES, "--name", "knowledge", "--html", file)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "pip install 'prunebench[html]'" in refused.err
    assert not file.exists()


def _library_anew() -> Any:
    from bench.leaderboard.html.assets import _library

    return _library.__wrapped__
