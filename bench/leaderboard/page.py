"""A suite's page: Markdown, CSV, JSON and charts, made from its records and nothing else.

The same records give the same bytes, so that a page can be checked against its records.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import write_text
from bench.leaderboard import prose
from bench.leaderboard.averages import chance_note
from bench.leaderboard.budgets import bought_by
from bench.leaderboard.challenges import Challenges
from bench.leaderboard.charts import make_charts
from bench.leaderboard.claims import verdicts
from bench.leaderboard.convergence import gaining_note
from bench.leaderboard.costs import cost_notes, cost_table, external_table
from bench.leaderboard.data_table import data_table
from bench.leaderboard.floors import dense_below_floors, floor_notes
from bench.leaderboard.loyalty import Loyalties, loyalty_section
from bench.leaderboard.markdown import Markdown, rounded
from bench.leaderboard.numbers import as_csv, as_json
from bench.leaderboard.options import COMPARED, option_section
from bench.leaderboard.ranking import Standings, standings
from bench.leaderboard.reading import reading_list
from bench.leaderboard.seeds import seeds_table
from bench.leaderboard.table import make_table
from bench.leaderboard.templating import render_markdown
from bench.leaderboard.tuning import tuning_notes, tuning_section
from bench.results.suites import counted_length, opened, read_suite

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record
    from bench.results.store import Store
    from bench.results.suites import OpenSuite


Table = tuple[list[str], list[list[str]]]
"""Heads and rows."""

SUMMARY_HEADS = ("encoder", "tasks", "compression", "competitors", "controls")


@dataclass(frozen=True)
class Page:
    """What is written of a suite.

    Attributes:
        suite: What it was asked for.
        path: Where the Markdown file lies; CSV, JSON and charts lie beside it.
        markdown: The page.
        files: Every file's content by its path.
        tables: Heads and rows of each ratio's scores and costs, by a title, for other ways to
            show them.
        summary: The suite as a row under `SUMMARY_HEADS`.
        claims: Its claims and their verdicts, a line each.
        content: What a template lays out.
        results: The standings by ratio.
        loyal: How far their models answer as dense does.
        challenges: What they score on challenge sets.
        records: All records, in a fixed order.
        studies: How parameters were found.
        answers: Where predictions are found.
    """

    suite: dict[str, Any]
    path: Path
    markdown: str
    files: dict[Path, str]
    tables: dict[str, Table]
    summary: list[str]
    claims: list[str]
    content: dict[str, Any]
    results: dict[float, Standings]
    loyal: Loyalties
    challenges: Challenges
    records: list[Record]
    studies: Sequence[dict[str, Any]]
    answers: PredictionsOf

    def write(self) -> None:
        """Writes all files."""
        for path, content in self.files.items():
            write_text(path, content)


def make_page(
    suite: dict[str, Any],
    records: Iterable[Record],
    folder: Path,
    answers: PredictionsOf = lambda cell_id: None,
    written: Sequence[str] = (),
    studies: Sequence[dict[str, Any]] = (),
    challenged: PredictionsOf = lambda key: None,
) -> Page:
    """Builds a suite's page.

    Args:
        suite: What `suites/<name>.json` holds.
        records: Its records, in any order.
        folder: Where the page is to lie.
        answers: Where predictions are found; without them there are neither intervals nor ranks.
        written: Bullets by hand of what the page shows and what it cannot, after the computed ones.
        studies: How its parameters were found; see `bench.results.studies`.
        challenged: The same of answers to challenge sets, by `challenge_key`.

    Raises:
        BenchError: The bullets are too many or too long.
    """
    name, length = suite["name"], counted_length(suite)
    every = sorted(records, key=_record_order)
    ordered = [record for record in every if record.status != "external"]
    cached = functools.cache(answers)
    results = _results(suite, ordered, cached)
    loyal = Loyalties(results.values(), cached)
    challenges = Challenges(suite, results, challenged)
    ratios = _ratios(suite, ordered, results, studies, challenges)
    bought = bought_by(suite, ordered, cached)
    figures = {"budget": bought.figure} if bought else {}
    files, images = make_charts(suite, results, studies, challenges, folder, figures)
    claims = verdicts(suite, ordered, cached)
    judged = {**suite, "claims": [verdict.to_json() for verdict in claims]} if claims else suite
    undone = len(set(suite["cells"]) - {record.id for record in every})
    lost = [r for r in ordered if r.score is not None and not cached(r.id)]
    content = {
        "suite": suite,
        "length": length,
        "claims": claims,
        "bought": Markdown(bought.section) if bought else "",
        "below_floors": Markdown(dense_below_floors(results)),
        "reading": reading_list(name, results, written),
        "equal": prose.protocol_lines(suite, ordered, _tasks(suite), undone),
        "ratios": ratios,
        "hardware": Markdown(prose.hardware_note(ordered)),
        "missing": Markdown(prose.missing_predictions_note(lost)),
        "external": external_table([r for r in every if r.status == "external"], length),
        "images": images,
        "folds": [
            ("Loyalty to dense", loyalty_section(_titled(suite, results), loyal)),
            ("What is left of pre-training", prose.knowledge_table(name, ordered, cached)),
            ("Parameters", prose.parameters_table(ordered)),
            ("Tuning", tuning_section(studies)),
            ("Data", data_table(ordered)),
            ("Challenge sets", challenges.data_table()),
            ("Versions and machines", prose.machines_list(ordered)),
        ],
    }
    markdown = f"{render_markdown('page.md', **content)}\n"
    files[folder / f"{name}.md"] = markdown
    files[folder / f"{name}.csv"] = as_csv(results, loyal)
    files[folder / f"{name}.json"] = as_json(judged, results, loyal, challenges, every, cached)
    if table_of_challenges := challenges.csv():
        files[folder / f"{name}-challenges.csv"] = table_of_challenges
    tables: dict[str, Table] = dict(bought.tables) if bought else {}
    for ratio in ratios:
        tables |= {
            ratio["title"]: ratio["scores"],
            f"{ratio['title']}: what it costs": ratio["costs"],
        }
        if found := ratio["challenges"]:
            tables[f"{ratio['title']}: challenge sets"] = found["table"]
    return Page(
        suite=suite,
        path=folder / f"{name}.md",
        markdown=markdown,
        files=files,
        tables=tables,
        summary=_summary(suite, results),
        claims=[str(verdict) for verdict in claims],
        content=content,
        results=results,
        loyal=loyal,
        challenges=challenges,
        records=every,
        studies=studies,
        answers=cached,
    )


def write_run_page(store: Store, name: str) -> Page:
    """Writes the page of a suite into its run folder.

    Raises:
        BenchError: The folder has no such suite, or a record that disagrees with itself.
    """
    suite = read_suite(store.root / "suites", name)
    if suite is None:
        raise BenchError(f"{store.root} has no suite '{name}'.")
    page = page_of(opened(store.root, suite), store.root)
    page.write()
    return page


def page_of(found: OpenSuite, folder: Path) -> Page:
    """The page of a suite as a folder has it, without what was written by hand."""
    return make_page(
        found.suite,
        found.records,
        folder,
        found.answers,
        studies=found.studies,
        challenged=found.challenged,
    )


def _record_order(record: Record) -> tuple[Any, ...]:
    cell = record.cell
    return cell["ratio"], cell["method"], cell["task"], cell["seed"], record.id


def _tasks(suite: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(cell[1] for cell in suite["cells"].values()))


def _results(
    suite: dict[str, Any], records: Sequence[Record], answers: PredictionsOf
) -> dict[float, Standings]:
    """The standings of each ratio; those of the references alone where nothing was compressed."""
    by_ratio: dict[float, list[Record]] = {}
    for record in records:
        by_ratio.setdefault(record.cell["ratio"], []).append(record)
    references, tasks = by_ratio.pop(1.0, []), _tasks(suite)
    return {
        ratio: standings(by_ratio.get(ratio, []), references, tasks, answers)
        for ratio in sorted(by_ratio) or [1.0]
    }


def _ratios(
    suite: dict[str, Any],
    records: Sequence[Record],
    results: dict[float, Standings],
    studies: Sequence[dict[str, Any]],
    challenges: Challenges,
) -> list[dict[str, Any]]:
    """Every ratio's two tables, and what is said around them."""
    planned = Counter((method, task, at) for method, task, at, _ in suite["cells"].values())
    metrics = {r.cell["task"]: "/".join(r.scores) for r in records if r.scores}
    return [
        {
            "title": Markdown(title),
            "scores": make_table(result, metrics, planned),
            "notes": [
                Markdown(note)
                for note in (
                    prose.uninformative_note(result),
                    chance_note(result),
                    prose.above_dense_note(result),
                    prose.power_note(result),
                    *tuning_notes(result),
                    gaining_note(studies, ratio),
                    floor_notes(result),
                    prose.table_notes(result.rows),
                )
                if note
            ],
            "seeds": seeds_table(result),
            "costs": cost_table(result, counted_length(suite)),
            "cost_notes": cost_notes(result),
            "challenges": challenges.of(ratio),
            "options": {
                option.noun: Markdown(section)
                for option in COMPARED
                if (section := option_section(option, result, suite))
            },
        }
        for ratio, (title, result) in zip(results, _titled(suite, results).items(), strict=True)
    ]


def _titled(suite: dict[str, Any], results: dict[float, Standings]) -> dict[str, Standings]:
    """The standings by what their ratio is called."""
    counted = prose.axis_words(suite)
    return {
        f"{ratio:g}× fewer {counted}" if ratio != 1 else "no compression": result
        for ratio, result in results.items()
    }


def _summary(suite: dict[str, Any], results: dict[float, Standings]) -> list[str]:
    """A row under `SUMMARY_HEADS`: what was compressed, and the averages at the hardest ratio."""
    ratio, result = max(results.items())
    listed: dict[bool, list[str]] = {False: [], True: []}
    for row in result.rows:
        if (average := row.average(result.averaged)) is not None:
            rank = result.overall.get(row.method)
            shown = f"{row.method} {rounded(average, 1)}{f' (rank {rank})' if rank else ''}"
            listed[row.facts["control"]].append(shown)
    return [
        suite["model"],
        ", ".join(result.tasks),
        f"{ratio:g}× fewer {prose.axis_words(suite)}" if ratio != 1 else "none",
        *(", ".join(listed[control]) or "none yet" for control in (False, True)),
    ]
