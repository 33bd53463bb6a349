"""The folder of published pages: records in, pages out, and the check that they agree.

`records/<suite>.json` says what the suite was asked for, `<suite>.jsonl` holds its records, slimmed
and one a line, `<suite>.parquet` the predictions, `<suite>.challenges.parquet` those of challenge
sets, `<suite>.studies.jsonl` what its trials came to.
The pages and `README.md` are made from them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, first_line
from bench.files import refuse_outward_links, remove, write_json, write_text
from bench.inputs import read_bytes, read_text
from bench.leaderboard.html.assets import FOLDER as ASSETS
from bench.leaderboard.html.assets import write_assets
from bench.leaderboard.html.page import folder_pages
from bench.leaderboard.markdown import Markdown
from bench.leaderboard.page import SUMMARY_HEADS, Page, make_page
from bench.leaderboard.papers import DATA, PAGE, make_published
from bench.leaderboard.reading import split_bullets
from bench.leaderboard.templating import render_markdown
from bench.results.challenges import scored_on
from bench.results.predictions import read_published, to_publish, write_published
from bench.results.record import Record, slim
from bench.results.studies import published_path, read_studies, study_lines
from bench.results.suites import (
    challenges_path,
    check_suite_name,
    merge_suites,
    opened,
    read_records,
    read_suite,
    read_suites,
    records_path,
    same_suite,
    tasks_of_other_data,
)

ENDINGS = ("md", "html", "svg", "csv", "json")
"""Of the files that are made from records."""

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyarrow import Table

    from bench.results.suites import OpenSuite


def add_suites(folders: Iterable[Path], out: Path) -> None:
    """Adds every suite of run folders to the records of `out`, beside what lies there already.

    A failed record never takes the place of one that is not, nor a study that is not complete. All
    folders are checked before anything is written.

    Raises:
        BenchError: A folder has no suite, one that cannot be read, a record that disagrees with
            itself, or a suite of the same name as in `out` that is not comparable; or `out` is a
            run folder itself.
    """
    found = [(runs, suite) for runs in folders for suite in _checked_suites(runs, out)]
    for runs, suite in found:
        _add(runs, suite, out)


def _checked_suites(runs: Path, out: Path) -> list[OpenSuite]:
    """The suites of a run folder, each of which can stand beside what lies in `out` already."""
    suites = read_suites(runs / "suites")
    if read_suites(out / "suites"):
        raise BenchError(f"{out} is a run folder: --out names the folder of the pages.")
    if not suites:
        raise BenchError(f"{runs} has no suite: it is not a run folder, or nothing was run in it.")
    for name, suite in suites.items():
        check_suite_name(name)
        _check_beside(runs, suite, out)
    found = [opened(runs, suite) for suite in suites.values()]
    for one in found:
        for record in one.records:
            one.answers(record.id)
            for scored in scored_on(record):
                one.challenged(scored.id)
    return found


def _check_beside(runs: Path, suite: dict[str, Any], out: Path) -> dict[str, Any] | None:
    """What `out` knows of a suite already, beside which this one can stand."""
    name = suite["name"]
    known = read_suite(out / "records", name)
    if known is not None and not same_suite(known, suite):
        raise BenchError(
            f"the suite '{name}' of {runs} and the one in {out} differ in model, weights, axis or "
            "protocol: give one of them another --name."
        )
    if known is not None and (other := tasks_of_other_data(known, suite)):
        raise BenchError(
            f"the suite '{name}' of {runs} and the one in {out} have other rows of "
            f"{', '.join(other)}: give one of them another --name."
        )
    return known


def _add(runs: Path, found: OpenSuite, out: Path) -> None:
    """Adds a suite of a run folder."""
    suite = found.suite
    refuse_outward_links(out)
    name, known = suite["name"], _check_beside(runs, suite, out)  # two folders may have one
    records = {record.id: record for record in found.records}
    studies = {study["id"]: study for study in found.studies}
    tables = read_published(out / "records" / f"{name}.parquet")
    challenged = read_published(challenges_path(records_path(out, name)))
    if known is not None:
        suite = merge_suites(known, suite)
        for study in read_studies(out, name):
            newer = studies.get(study["id"])
            if newer is None or (study["complete"] and not newer["complete"]):
                studies[study["id"]] = study
        for record in read_records(out, name):
            if record.id not in records or records[record.id].status == "failed":
                records[record.id] = record
    for record in records.values():
        if record.score is not None and (held := found.answers(record.id)) is not None:
            tables[record.id] = to_publish(record.id, held)
        for one in scored_on(record):
            if (held := found.challenged(one.id)) is not None:
                challenged[one.id] = to_publish(one.id, held)
    kept = {key: record for key, record in records.items() if key in suite["cells"]}
    tried = [study for key, study in studies.items() if key in suite.get("studies", {})]
    _write_records(out, suite, kept, tables, challenged, tried)


def write(out: Path, *, html: bool = False) -> list[Path]:
    """Makes every page of `out` anew, and the index.

    Args:
        out: The folder of pages.
        html: Whether HTML pages are made beside those in Markdown. Where there are some already,
            they are made anew in any case.

    Returns:
        The Markdown files, and those in HTML.
    """
    refuse_outward_links(out)
    pages = _pages(out)
    if html:
        write_assets(out)
    for page in pages:
        page.write()
    others = _other_pages(out, pages)
    for path, text in others.items():
        write_text(path, text)
    return [*(page.path for page in pages), *others]


def check(out: Path) -> list[Path]:
    """The files of `out` that are not, byte for byte, what its records give, or have none."""
    pages = _pages(out)
    expected = {path: text for page in pages for path, text in page.files.items()}
    expected |= _other_pages(out, pages)
    suites = {page.suite["name"] for page in pages}
    made = [path for ending in ENDINGS for path in out.glob(f"*.{ending}")]
    orphans = {path for path in made if path not in expected}
    in_records = (out / "records").iterdir()
    orphans |= {path for path in in_records if path.name.partition(".")[0] not in suites}
    return sorted(orphans) + [
        path
        for path, text in expected.items()
        if not path.exists() or read_bytes(path) != text.encode()
    ]


def _pages(out: Path) -> list[Page]:
    suites = read_suites(out / "records")
    if not suites:
        raise BenchError(f"{out / 'records'} has no suite. Take one in with --runs DIR.")
    pages = []
    for name, suite in suites.items():
        path = out / "records" / f"{name}.json"
        found = opened(out, suite)
        # All stand in the page's JSON, so that a check covers them to the byte; of predictions, it
        # has a hash a cell.
        suite["suite"] = _file_hash(path)
        suite["lines"] = _file_hash(path.with_suffix(".jsonl"))
        if (tried := published_path(out, name)).exists():
            suite["trials"] = _file_hash(tried)
        written = _written_bullets(out / "suites" / f"{name}.md")
        pages.append(
            make_page(
                suite,
                found.records,
                out,
                found.answers,
                written,
                found.studies,
                found.challenged,
            )
        )
    return pages


def _written_bullets(path: Path) -> list[str]:
    """What was written by hand of a page; nothing where there is no such file."""
    try:
        text = read_text(path) if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {first_line(error)}.") from None
    try:
        return split_bullets(text)
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from None


def _file_hash(path: Path) -> str:
    return hashlib.sha256(read_bytes(path)).hexdigest()[:16]


def _write_records(
    out: Path,
    suite: dict[str, Any],
    records: dict[str, Record],
    tables: dict[str, Table],
    challenged: dict[str, Table],
    studies: list[dict[str, Any]],
) -> None:
    base = out / "records"
    lines = [json.dumps(slim(records[key]), ensure_ascii=False) for key in sorted(records)]
    write_json(base / f"{suite['name']}.json", suite)
    write_text(base / f"{suite['name']}.jsonl", "".join(f"{line}\n" for line in lines))
    write_published(base / f"{suite['name']}.parquet", tables, records)
    keys = [one.id for record in records.values() for one in scored_on(record)]
    write_published(challenges_path(records_path(out, suite["name"])), challenged, keys)
    if studies:
        write_text(published_path(out, suite["name"]), study_lines(studies))
    else:
        remove(published_path(out, suite["name"]), out)


def _other_pages(out: Path, pages: list[Page]) -> dict[Path, str]:
    """The index, published figures where their data file is there, HTML where there are assets."""
    others, data, published = {}, out / DATA, ""
    if data.exists():
        published = make_published(data, [page.suite for page in pages])
        others[out / PAGE] = published
    others[out / "README.md"] = _index(pages, bool(published))
    if (out / ASSETS).is_dir():
        others |= folder_pages(out, pages, published)
    return others


def _index(pages: list[Page], has_published: bool) -> str:
    """A table of the pages, a row each."""
    rows = [[Markdown(f"[{page.path.stem}]({page.path.name})"), *page.summary] for page in pages]
    heads = ["page", *SUMMARY_HEADS]
    return render_markdown("index.md", heads=heads, rows=rows, published=has_published) + "\n"
