"""A suite's page: Markdown, CSV, JSON and charts, made from its records and nothing else.

The same records give the same bytes, so that a page can be checked against its records.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import write_text
from bench.leaderboard import plots, prose
from bench.leaderboard.markdown import escape, folded, pipe, rounded
from bench.leaderboard.ranking import Row, Standings, standings
from bench.leaderboard.reading import reading_list
from bench.leaderboard.table import NAME_COLUMNS, make_table
from bench.results.predictions import in_store
from bench.results.record import AXES, DENSE, record_hash
from bench.results.suites import read_suite, suite_records

if TYPE_CHECKING:
    from bench.leaderboard.plots import Point
    from bench.results.predictions import Answers
    from bench.results.record import Record
    from bench.results.store import Store


@dataclass(frozen=True)
class Page:
    """What is written of a suite.

    Attributes:
        suite: What it was asked for.
        path: Where the Markdown file lies; CSV, JSON and charts lie beside it.
        markdown: The page.
        files: Every file's content by its path.
        tables: Heads and rows of each ratio's table, by a title, for other ways to show them.
        headline: The suite in one sentence.
    """

    suite: dict[str, Any]
    path: Path
    markdown: str
    files: dict[Path, str]
    tables: dict[str, tuple[list[str], list[list[str]]]] = field(default_factory=dict)
    headline: str = ""

    def write(self) -> None:
        """Writes all files."""
        for path, content in self.files.items():
            write_text(path, content)


def make_page(
    suite: dict[str, Any],
    records: Iterable[Record],
    folder: Path,
    answers: Answers = lambda cell_id: None,
    written: Sequence[str] = (),
) -> Page:
    """Builds a suite's page.

    Args:
        suite: What `suites/<name>.json` holds.
        records: Its records, in any order.
        folder: Where the page is to lie.
        answers: Where predictions are found; without them there are neither intervals nor ranks.
        written: Bullets by hand of what the page shows and what it cannot, after the computed ones.

    Raises:
        BenchError: The bullets are too many or too long.
    """
    name, axis = suite["name"], prose.axis_words(suite["axis"])
    every = sorted(records, key=_record_order)
    ordered = [record for record in every if record.status != "external"]
    tasks = list(dict.fromkeys(cell[1] for cell in suite["cells"].values()))
    by_ratio: dict[float, list[Record]] = {}
    for record in ordered:
        by_ratio.setdefault(record.cell["ratio"], []).append(record)
    references = by_ratio.pop(1.0, [])
    cached = functools.cache(answers)
    undone = len(set(suite["cells"]) - {record.id for record in every})
    results = {
        ratio: standings(by_ratio.get(ratio, []), references, tasks, cached)
        for ratio in sorted(by_ratio) or [1.0]
    }
    planned = Counter((method, task, at) for method, task, at, _ in suite["cells"].values())
    metrics = {r.cell["task"]: "/".join(r.scores) for r in ordered if r.scores}
    tables = {}
    reading = reading_list(name, results, written)
    parts = [
        prose.title_line(suite),
        prose.protocol_paragraph(suite, ordered, tasks, undone),
        reading and f"## What this shows, and what it cannot\n\n{reading}",
    ]
    for ratio, result in results.items():
        title = f"{ratio:g}× fewer {axis}" if ratio != 1 else "no compression"
        tables[title] = heads, rows = make_table(result, metrics, planned)
        named = [[*map(escape, row[:NAME_COLUMNS]), *row[NAME_COLUMNS:]] for row in rows]
        parts += [
            f"## {title}\n\n{pipe([*map(escape, heads)], named)}",
            prose.uninformative_note(result),
            prose.above_dense_note(result),
            *prose.table_notes(result.rows),
        ]
    parts += [
        prose.hardware_note(ordered),
        prose.missing_predictions_note(
            [r for r in ordered if r.score is not None and not cached(r.id)]
        ),
        prose.external_section([record for record in every if record.status == "external"]),
    ]
    files: dict[Path, str] = {}
    charts = {
        "": (
            plots.pareto_svg(_curves(results), axis),
            "Score against compression, a line a method",
        ),
        "-kept": (plots.heat_svg(_shares(results)), "Share of the dense score kept, %"),
    }
    for suffix, (svg, caption) in charts.items():
        if svg:
            files[folder / f"{name}{suffix}.svg"] = svg
            parts.append(f"![{caption}]({name}{suffix}.svg)")
    parts += [
        folded("What is left of pre-training", prose.knowledge_table(name, ordered, cached)),
        folded("Parameters", prose.parameters_table(ordered)),
        folded("Data", prose.data_table(ordered)),
        folded("Versions and machines", prose.machines_list(ordered)),
        "Reproduce with\n\n```\n" + "\n".join(suite["commands"]) + "\n```",
    ]
    markdown = "\n\n".join(part for part in parts if part) + "\n"
    files[folder / f"{name}.md"] = markdown
    files[folder / f"{name}.csv"] = _csv(results)
    files[folder / f"{name}.json"] = _json(suite, results, every)
    headline = _headline(suite, results)
    return Page(suite, folder / f"{name}.md", markdown, files, tables, headline)


def write_run_page(store: Store, name: str) -> Page:
    """Writes the page of a suite into its run folder.

    Raises:
        BenchError: The folder has no such suite.
    """
    suite = read_suite(store.root / "suites", name)
    if suite is None:
        raise BenchError(f"{store.root} has no suite '{name}'.")
    records = suite_records(store, suite)
    page = make_page(suite, records, store.root, in_store(store))
    page.write()
    return page


def _record_order(record: Record) -> tuple[Any, ...]:
    cell = record.cell
    return cell["ratio"], cell["method"], cell["task"], cell["seed"], record.id


def _headline(suite: dict[str, Any], results: dict[float, Standings]) -> str:
    """What the hardest ratio shows, in one sentence."""
    ratio, result = max(results.items())
    about = f"{suite['model']} on {', '.join(result.tasks)}"
    averages = {row.method: row.average(result.averaged) for row in result.rows}
    known = {name: value for name, value in averages.items() if value is not None}
    order = sorted(known, key=lambda name: -known[name])
    ranks = {name: f" (rank {rank})" for name, rank in result.overall.items()}
    figures = ", ".join(f"{name} {rounded(known[name], 1)}{ranks.get(name, '')}" for name in order)
    return f"{about}; average score at {ratio:g}×: {figures or 'none yet'}."


def _curves(results: dict[float, Standings]) -> dict[str, list[Point]]:
    """Average score by wanted ratio, a curve a method; references are one point at ratio 1."""
    curves: dict[str, dict[float, Point]] = {}
    for ratio, result in results.items():
        for row in result.rows:
            average, interval = row.average(result.averaged), result.averages.get(row.method)
            if average is not None:
                at = 1.0 if row.facts["kind"] == "reference" else ratio
                width = interval.half_width if interval else 0.0
                curves.setdefault(row.method, {})[at] = (at, average, width)
    return {name: list(points.values()) for name, points in curves.items()}


def _shares(results: dict[float, Standings]) -> dict[str, dict[str, float]]:
    """Share of the dense score kept in %, by task and ratio, then by method."""
    shares: dict[str, dict[str, float]] = {}
    for ratio, result in results.items():
        dense = result.row(DENSE)
        for task in result.averaged:
            whole = dense.mean(task) if dense else None
            if ratio == 1 or not whole or whole <= 0:
                continue
            means = {row.method: row.mean(task) for row in result.rows if row is not dense}
            known = {name: 100 * mean / whole for name, mean in means.items() if mean is not None}
            if known:
                shares[f"{task} {ratio:g}×"] = known
    return shares


def _each(results: dict[float, Standings]) -> Iterator[tuple[float, Standings, Row]]:
    """Every row once, the references at ratio 1."""
    for place, (ratio, result) in enumerate(results.items()):
        for row in result.rows:
            if row.facts["kind"] != "reference":
                yield ratio, result, row
            elif place == 0:
                yield 1.0, result, row


def _csv(results: dict[float, Standings]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["ratio", "method", "task", "seeds", "mean", "sd", "half_width_95", "rank",
                     "weights_ratio", "params_ratio", "flops_ratio"])  # fmt: skip
    for ratio, result, row in _each(results):
        achieved = [row.ratio(axis) for axis in AXES]
        for task in result.tasks:
            scores, interval = row.scores[task], result.means.get((row.method, task))
            if scores:
                writer.writerow(
                    [f"{ratio:g}", row.method, task, len(scores), repr(row.mean(task)),
                     f"{statistics.stdev(scores):.12g}" if len(scores) > 1 else "",
                     f"{interval.half_width:.6g}" if interval else "",
                     result.ranks[task].get(row.method, ""),
                     *map(repr, achieved)]
                )  # fmt: skip
    return out.getvalue()


def _json(suite: dict[str, Any], results: dict[float, Standings], records: Sequence[Record]) -> str:
    """The page's figures, and a hash of every record behind them."""
    rows = [
        {
            "ratio": ratio,
            "method": row.method,
            "scores": row.scores,
            "average": row.average(result.averaged),
            "half_width_95": {
                key: float(f"{interval.half_width:.6g}")
                for key, interval in [
                    *((task, result.means.get((row.method, task))) for task in result.tasks),
                    ("average", result.averages.get(row.method)),
                ]
                if interval is not None
            },
            "rank": result.overall.get(row.method),
            "ranks": {
                task: ranks[row.method]
                for task, ranks in result.ranks.items()
                if row.method in ranks
            },
            **{f"{axis}_ratio": row.ratio(axis) for axis in AXES},
            "train_flops": row.train_flops(tuning=True),
        }
        for ratio, result, row in _each(results)
    ]
    hashes = {record.id: record_hash(record) for record in records}
    described = {key: value for key, value in suite.items() if key not in ("cells", "studies")}
    return (
        json.dumps({**described, "rows": rows, "records": hashes}, indent=1, sort_keys=True) + "\n"
    )
