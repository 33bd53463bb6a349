"""HTML pages: of a suite, of the folder, and of published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from bench.leaderboard.convergence import trainings
from bench.leaderboard.html.assets import Assets, inlined, linked
from bench.leaderboard.html.board import BoardRow, board_rows, columns
from bench.leaderboard.html.data import AVERAGE, ReportTexts, costs_of, page_data
from bench.leaderboard.page import SUMMARY_HEADS, Page
from bench.leaderboard.templating import render_html, render_markdown
from bench.leaderboard.tuning import trial_points

MOST_BYTES = 1_500_000
"""Of a page without its assets."""

DATA = Markup("\x00data\x00")
"""What stands in a page until the room for its data is known."""

Choices = Sequence[tuple[str, str]]
COST_CHOICES: Choices = (
    ("bytes", "MB"), ("weights", "prunable weights"), ("flops", "FLOPs"),
    ("flops_task", "FLOPs, task's lengths"), ("ms", "milliseconds"),
)  # fmt: skip


def suite_page(
    page: Page,
    assets: Assets,
    *,
    in_folder: bool,
    rounds: Sequence[Mapping[str, Any]] = (),
    texts: ReportTexts = MappingProxyType({}),
) -> str:
    """A suite's page.

    Args:
        page: What the Markdown page was made of.
        assets: Its styles and scripts.
        in_folder: Whether it lies beside an index.
        rounds: What an arena's closed rounds came to; see `bench.results.rounds`.
        texts: By task, the texts of its report rows, where they may be shown.
    """
    rows = board_rows(page.results, page.content["ratios"])
    shell = render_html(
        "page.html",
        **page.content,
        assets=assets,
        index=in_folder,
        glossary=render_markdown("glossary.md", **page.content),
        table=_table(page, rows),
        figures=_figures(page, rows),
        rounds=[
            {**held, "names": {one["id"]: one["name"] for one in held["models"]}} for held in rounds
        ],
        data=DATA,
    )
    bare = len(shell.encode()) - len(f"{assets.styles}{assets.figures}{assets.scripts}".encode())
    return shell.replace(DATA, page_data(page, rows, MOST_BYTES - bare, texts))


def one_file(
    page: Page,
    rounds: Sequence[Mapping[str, Any]] = (),
    texts: ReportTexts = MappingProxyType({}),
) -> str:
    """A suite's page with everything in it; arguments as for `suite_page`.

    Raises:
        BenchError: What figures are drawn with is not installed.
    """
    return suite_page(page, inlined(), in_folder=False, rounds=rounds, texts=texts)


def folder_pages(out: Path, pages: Sequence[Page], published: str) -> dict[Path, str]:
    """The HTML pages of a folder, by their paths.

    Args:
        out: The folder, which has its assets.
        pages: Its suites' pages.
        published: The Markdown of the page of published figures; empty without any.
    """
    assets = linked(out)
    found = {page.path.with_suffix(".html"): suite_page(page, assets, in_folder=True)
             for page in pages}  # fmt: skip
    rows = {page.path.stem: page.summary for page in pages}
    content: dict[str, Any] = {"heads": ["page", *SUMMARY_HEADS], "rows": rows}
    found[out / "index.html"] = render_html(
        "index.html", assets=assets, published=bool(published), **content
    )
    if published:
        text = render_html("published.html", assets=assets, text=published)
        found[out / "published.html"] = text
    return found


def _table(page: Page, rows: Sequence[BoardRow]) -> dict[str, Any]:
    """What the table and its filters lay out."""
    records = [record for one in rows for record in one.row.records]
    return {
        "columns": columns(page.results, page.content["ratios"]),
        "rows": rows,
        "ratios": [f"{ratio:g}" for ratio in page.results if ratio != 1],
        "kinds": list(dict.fromkeys(one.row.facts["kind"] for one in rows)),
        "tasks": list(next(iter(page.results.values())).tasks),
        "seeds": sorted({record.cell["seed"] for record in records}),
    }


def _figures(page: Page, rows: Sequence[BoardRow]) -> list[dict[str, Any]]:
    """The figures that a page has something for: id, title, controls and caption."""
    result = next(iter(page.results.values()))
    tasks = list(result.tasks)
    every: Choices = [(name, name) for name in ([AVERAGE] if result.averaged else []) + tasks]
    studied = _studied(page)
    known: Mapping[str, bool] = {
        "tradeoff": bool(result.averaged) and any(one.ratio != 1 for one in rows),
        "forest": bool(rows),
        "heat": bool(rows),
        "curves": bool(studied["curves"]),
        "trials": bool(studied["trials"]),
    }
    figures: list[dict[str, Any]] = [
        {
            "id": "tradeoff", "title": "Score against cost",
            "controls": [("axis", "Cost", _known_costs(rows))],
            "caption": "A large point is a row's average, a small one a seed, a bar the 95 % "
            "interval. All ratios are shown, and a line joins those of a method. The dashed line "
            "is the Pareto front: nothing costs less and scores more.",
        },
        {
            "id": "forest", "title": "Every seed", "controls": [("task", "Task", every)],
            "caption": "A dot is a seed, a diamond the mean, a bar its 95 % interval. Controls are "
            "grey. The dashed line is dense.",
        },
        {
            "id": "heat", "title": "Methods and tasks",
            "controls": [("measure", "Figure", [
                ("above", "above chance, % of dense"), ("score", "score"),
                ("loyalty", "loyalty, %"),
            ])],
            "caption": "Above chance: 0 is the majority class, 100 the dense model. Loyalty: how "
            "often a model answers as its dense one does.",
        },
        {
            "id": "curves", "title": "Convergence",
            "controls": [("task", "Task", [(t, t) for t in studied["curves"]]),
                         ("measure", "Figure", [("scores", "tune score"), ("losses", "loss")])],
            "caption": "The training that a row's parameters come from, scored on the tune split.",
        },
        {
            "id": "trials", "title": "Tuning",
            "controls": [("task", "Task", [(t, t) for t in studied["trials"]])],
            "caption": "A point is a trial, with a ring where it was the best. Trials that failed "
            "are not drawn.",
        },
    ]  # fmt: skip
    return [figure for figure in figures if known[figure["id"]]]


def _known_costs(rows: Sequence[BoardRow]) -> Choices:
    """The costs that some row knows."""
    known = {axis for one in rows for axis in costs_of(one)}
    return [(axis, said) for axis, said in COST_CHOICES if axis in known]


def _studied(page: Page) -> dict[str, list[str]]:
    """The tasks that there are curves and trials of."""
    return {
        "curves": list(dict.fromkeys(one.task for one in trainings(page.studies))),
        "trials": list(dict.fromkeys(one["task"] for one in trial_points(page.studies))),
    }
