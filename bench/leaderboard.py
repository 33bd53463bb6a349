"""Records to pages: Markdown, CSV, JSON and a figure. Reads records and nothing else.

The same records give the same bytes, so that a page can be checked against its records.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records import Record, Store, read_json, write_text
from bench.standings import OUTSIDE_AVERAGE, Row, number, rows_of, table

FAR_FEWER = 10
"""A run is said to be short where its paper's has at least so many times its steps."""


@dataclass(frozen=True)
class Page:
    """What is written of a suite.

    Attributes:
        path: Where the Markdown file lies; CSV, JSON and figure lie beside it.
        markdown: The page.
        files: Every file's content by its path.
        tables: Heads and rows of each ratio's table, by a title, for other ways to show them.
        headline: The suite in one sentence.
    """

    path: Path
    markdown: str
    files: dict[Path, str]
    tables: dict[str, tuple[list[str], list[list[str]]]] = field(default_factory=dict)
    headline: str = ""

    def write(self) -> None:
        """Writes all files."""
        for path, content in self.files.items():
            write_text(path, content)


def make_page(suite: dict[str, Any], records: Iterable[Record], folder: Path) -> Page:
    """Builds a suite's page.

    Args:
        suite: What `suites/<name>.json` holds.
        records: Its records, in any order.
        folder: Where the page is to lie.
    """
    from bench.plots import pareto_svg

    name = suite["name"]
    ordered = sorted(records, key=_record_order)
    tasks = list(dict.fromkeys(cell[1] for cell in suite["cells"].values()))
    ratios = sorted({r.cell["ratio"] for r in ordered if r.cell["ratio"] != 1})
    references = rows_of([r for r in ordered if r.cell["ratio"] == 1], tasks)
    by_ratio = {
        ratio: rows_of([r for r in ordered if r.cell["ratio"] == ratio], tasks) for ratio in ratios
    }
    metrics = {r.cell["task"]: "/".join(r.scores) for r in ordered if r.scores}
    tables = {
        f"{ratio:g}× fewer {_axis_words(suite['axis'])}": table(
            [*references, *rows], tasks, metrics
        )
        for ratio, rows in by_ratio.items()
    } or {"no compression": table(references, tasks, metrics)}
    parts = [_title(suite), _protocol(suite, ordered, tasks)]
    for (title, (heads, rows)), ratio in zip(tables.items(), [*ratios, 1.0], strict=False):
        parts.append(f"## {title}\n\n{_pipe(heads, rows)}")
        parts += _below(by_ratio.get(ratio, []) + references)
    files: dict[Path, str] = {}
    svg = pareto_svg(_curves(by_ratio, references, tasks), _axis_words(suite["axis"]))
    if svg:
        files[folder / f"{name}.svg"] = svg
        parts.append(f"![Score against compression ratio, one line a method]({name}.svg)")
    parts += [
        _folded("Parameters", _parameters(ordered)),
        _folded("Data", _data(ordered)),
        _folded("Versions and machines", _machines(ordered)),
        "Reproduce with\n\n```\n" + "\n".join(suite["commands"]) + "\n```",
    ]
    markdown = "\n\n".join(part for part in parts if part) + "\n"
    files[folder / f"{name}.md"] = markdown
    files[folder / f"{name}.csv"] = _csv({1.0: references, **by_ratio}, tasks)
    files[folder / f"{name}.json"] = _json(suite, {1.0: references, **by_ratio}, tasks, ordered)
    headline = _headline(suite, by_ratio, references, tasks)
    return Page(folder / f"{name}.md", markdown, files, tables, headline)


def write_run_page(store: Store, name: str) -> Page:
    """Writes the page of a suite into its run folder.

    Raises:
        BenchError: The folder has no such suite.
    """
    suite = read_json(store.root / "suites" / f"{name}.json")
    if suite is None:
        raise BenchError(f"{store.root} has no suite '{name}'.")
    page = make_page(suite, suite_records(store, suite), store.root)
    page.write()
    return page


def suite_records(store: Store, suite: dict[str, Any]) -> list[Record]:
    """The records that a suite's cells have so far."""
    found = (store.get(cell_id) for cell_id in suite["cells"])
    return [record for record in found if record is not None]


def for_terminal(page: Page) -> str:
    """The page's tables for a terminal, without the columns that only the page has room for."""
    from tabulate import tabulate

    parts = []
    for title, (heads, rows) in page.tables.items():
        shown = [i for i, head in enumerate(heads) if head not in ("starts from", "teacher")][:-3]
        short = [re.sub(r" \(.*", "", heads[i]) for i in shown]
        cells = [[row[i] for i in shown] for row in rows]
        grid = tabulate(cells, headers=short, tablefmt="simple", disable_numparse=True)
        parts.append(f"{title}\n\n{grid}")
    return "\n\n".join(parts)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def _record_order(record: Record) -> tuple[Any, ...]:
    cell = record.cell
    return cell["ratio"], cell["method"], cell["task"], cell["seed"], record.id


def _title(suite: dict[str, Any]) -> str:
    return f"# {escape(suite['name'])}: {escape(suite['model'])}, matched on {suite['axis']}"


def _axis_words(axis: str) -> str:
    return "prunable weights" if axis == "weights" else "FLOPs (S = 128)"


def _protocol(suite: dict[str, Any], records: Sequence[Record], tasks: Sequence[str]) -> str:
    settings = suite["settings"]
    cap = settings["max_train_samples"]
    seeds = len({record.cell["seed"] for record in records})
    lines = [
        f"Every method: epochs {settings['epochs']}, batch {settings['batch_size']}, dropout "
        f"{settings['dropout']:g}, {settings['precision']}; scores on each "
        "task's dev rows, which nothing was chosen on; the last step counts.",
        f"Training rows capped at {cap:,} a task, the first by a hash of their text." if cap
        else "All training rows.",
        *_augmented(settings.get("augment", 0)),
        "Default parameters, no tuning." if settings["trials"] == 0
        else f"Tuned with {settings['trials']} trials each.",
        "One seed, no interval." if seeds == 1
        else f"{seeds} seeds; mean ± sample standard deviation over seeds.",
        f"Protocol {suite['protocol']}.",
    ]  # fmt: skip
    if any(task in OUTSIDE_AVERAGE for task in tasks):
        lines.append("WNLI stands outside the average.")
    methods = {record.cell["method"] for record in records}
    lacking = [name for name in ("random-mask", "majority", "dense") if name not in methods]
    if lacking:
        lines.append(f"Controls that are missing: {', '.join(lacking)}.")
    missing = len(suite["cells"]) - len(records)
    if missing:
        lines.append(f"**{missing} of {len(suite['cells'])} cells are not done yet.**")
    return " ".join(lines)


def _augmented(variants: int) -> list[str]:
    """What the page says of augmentation, if there was any."""
    said = f"Training rows augmented: up to {variants} variants of each by word replacement."
    return [said] if variants else []


def _below(rows: Sequence[Row]) -> list[str]:
    """What stands under a table: cells that missed, failed or cannot be reached, and notes."""
    lines = []
    notes: dict[str, dict[str, None]] = {}
    for record in (record for row in rows for record in row.records):
        for note in record.data.get("notes", []):
            where = f"{escape(record.cell['task'])}: {escape(note)}"
            who = f"{escape(record.cell['method'])} seed {record.cell['seed']}"
            notes.setdefault(where, {})[who] = None
        cell = record.cell
        what = f"{escape(cell['method'])} on {escape(cell['task'])}, seed {cell['seed']}"
        if record.status == "missed":
            ratio = record.footprint[cell["axis"]]["ratio"]
            lines.append(
                f"missed: {what}: {ratio:.2f}× instead of {cell['ratio']:g}×, "
                f"score {number(record.score, 1)}"
            )
        elif record.status == "unreachable":
            best = record.footprint.get(cell["axis"], {}).get("ratio")
            lines.append(f"unreachable: {what}: {number(best, 2)}× at most")
        elif record.status == "failed":
            message = escape((record.error or {}).get("message", ""))
            lines.append(f"failed: {what}: {message}")
    lines += [f"{where} ({', '.join(methods)})" for where, methods in notes.items()]
    lines += [line for row in rows if (line := _short_run(row))]
    return ["\n".join(f"- <sub>{line}</sub>" for line in lines)] if lines else []


def _short_run(row: Row) -> str:
    """That a method ran with far fewer optimizer steps than in its paper, or nothing."""
    published = row.facts.get("paper_steps", 0)
    steps = [r.cost["steps"] for r in row.records if r.status == "ok" and r.cost.get("steps")]
    if not steps or min(steps) * FAR_FEWER > published:
        return ""
    least, most = f"{min(steps):,}", f"{max(steps):,}"
    made = least if least == most else f"{least} to {most}"
    return (
        f"{escape(row.method)} ran {made} optimizer steps; a main GLUE run of its paper has some "
        f"{published:,}"
    )


def _headline(
    suite: dict[str, Any],
    by_ratio: dict[float, list[Row]],
    references: Sequence[Row],
    tasks: Sequence[str],
) -> str:
    """What the hardest ratio shows, in one sentence."""
    about = f"{suite['model']} on {', '.join(tasks)}"
    ratio, rows = max(by_ratio.items(), default=(1.0, []))
    averages = {row.method: row.average(tasks) for row in [*references, *rows]}
    known = {name: value for name, value in averages.items() if value is not None}
    order = sorted(known, key=lambda name: -known[name])
    figures = ", ".join(f"{name} {known[name]:.1f}" for name in order)
    return f"{about}; average score at {ratio:g}×: {figures or 'none yet'}."


def _curves(
    by_ratio: dict[float, list[Row]], references: Sequence[Row], tasks: Sequence[str]
) -> dict[str, list[tuple[float, float]]]:
    """Average score by wanted ratio, a curve a method; references are one point at ratio 1."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for ratio, rows in {1.0: references, **by_ratio}.items():
        for row in rows:
            average = row.average(tasks)
            if average is not None:
                curves.setdefault(row.method, []).append((ratio, average))
    return curves


def _parameters(records: Sequence[Record]) -> str:
    """One line for each method, ratio and set of parameters, with the tasks that share it."""
    tasks: dict[tuple[str, str, str], list[str]] = {}
    for record in records:
        if record.params:
            text = ", ".join(f"{name} {_plain(value)}" for name, value in record.params.items())
            key = (record.cell["method"], f"{record.cell['ratio']:g}", text)
            known = tasks.setdefault(key, [])
            if record.cell["task"] not in known:
                known.append(record.cell["task"])
    rows = [[*key[:2], ", ".join(names), key[2]] for key, names in tasks.items()]
    heads = ["method", "ratio", "tasks", "parameters"]
    return _pipe(heads, [[escape(cell) for cell in row] for row in rows])


def _data(records: Sequence[Record]) -> str:
    rows = {}
    for record in records:
        facts = record.data
        if facts:
            cut = facts["cut_to_fit"]
            rows[record.cell["task"]] = [
                escape(record.cell["task"]),
                escape(" ".join(str(facts[k]) for k in ("source", "revision") if k in facts)),
                f"{facts['train']:,} of {facts['train_available']:,}{_added(facts)}",
                f"{facts['report']:,}",
                f"{cut['train']} and {cut['report']} at {cut['pieces']} pieces",
                str(facts["skipped_rows"]),
            ]
    heads = ["task", "source", "training rows", "report rows", "cut to fit", "unreadable"]
    return _pipe(heads, list(rows.values()))


def _added(facts: dict[str, Any]) -> str:
    made = facts.get("augmentation")
    return f", {made['rows']:,} variants of them" if made else ""


def _machines(records: Sequence[Record]) -> str:
    lines: dict[str, None] = {}
    for record in records:
        env = record.environment
        if env:
            packages = ", ".join(f"{name} {v}" for name, v in env["packages"].items())
            lines[
                f"- {escape(env['processor'])} ({escape(' '.join(env['vector_extensions']))}), "
                f"{escape(env['device'])}, {env['precision']}, threads a cell {env['threads']}; "
                f"Python {env['python']}, {packages}"
            ] = None
    return "\n".join(lines)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""


def _csv(by_ratio: dict[float, list[Row]], tasks: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["ratio", "method", "task", "seeds", "mean", "sd", "weights_ratio",
                     "params_ratio", "flops_ratio"])  # fmt: skip
    for ratio, rows in by_ratio.items():
        for row in rows:
            achieved = [row.ratio(axis) for axis in ("weights", "params", "flops")]
            for task in tasks:
                scores = row.scores.get(task, [])
                if scores:
                    writer.writerow(
                        [f"{ratio:g}", row.method, task, len(scores), repr(row.mean(task)),
                         repr(statistics.stdev(scores)) if len(scores) > 1 else "",
                         *map(repr, achieved)]
                    )  # fmt: skip
    return out.getvalue()


def _json(
    suite: dict[str, Any],
    by_ratio: dict[float, list[Row]],
    tasks: Sequence[str],
    records: Sequence[Record],
) -> str:
    """The page's figures, and a hash of every record behind them."""
    rows = [
        {
            "ratio": ratio,
            "method": row.method,
            "scores": row.scores,
            "average": row.average(tasks),
            **{f"{axis}_ratio": row.ratio(axis) for axis in ("weights", "params", "flops")},
            "train_flops": row.train_flops(),
        }
        for ratio, rows in by_ratio.items()
        for row in rows
    ]
    hashes = {record.id: record_hash(record) for record in records}
    kept = {key: value for key, value in suite.items() if key != "cells"}
    return json.dumps({**kept, "rows": rows, "records": hashes}, indent=1, sort_keys=True) + "\n"


def record_hash(record: Record) -> str:
    """Hash over a slimmed record."""
    text = json.dumps(slim(record), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def slim(record: Record) -> dict[str, Any]:
    """What a page needs of a record: all but its date and the list of skipped rows."""
    data = record.to_json()
    del data["created"]
    data["data"].pop("skipped", None)
    return data


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pipe(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True) if rows else ""
