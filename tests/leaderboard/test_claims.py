"""Verdicts of claims on planted results."""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from example_page import FOLDER, record, suite

from bench.leaderboard.claims import Verdict, verdicts
from bench.leaderboard.page import make_page
from bench.leaderboard.statistics import holm
from bench.leaderboard.templating import render_markdown
from bench.leaderboard.text import tables_of
from bench.results.claims import Claim
from bench.results.predictions import Predictions

if TYPE_CHECKING:
    from bench.results.record import Record

ROWS, SEEDS, TASKS = 2000, tuple(range(10, 16)), ("cola", "rte")
JITTER = (0, 8, 4, 2, 6, 4)
"""Wrong answers more than usual, a seed."""


def planted(
    right: dict[str, tuple[int, int]], seeds: tuple[int, ...] = SEEDS
) -> tuple[list[Record], dict[str, Predictions]]:
    """Records whose methods are right in so many percent of a task's rows, about, by task.

    All methods are wrong on the same rows as far as they go, so that leads vary little.
    """
    labels = np.arange(ROWS) % 2
    found, answers = [], {}
    for (method, percents), place in itertools.product(right.items(), range(len(seeds))):
        for task, percent in zip(TASKS, percents, strict=True):
            wrong = ROWS * (100 - percent) // 100 + JITTER[place] + len(method) * place % 5
            given = np.where(np.arange(ROWS) < wrong, 1 - labels, labels)
            score = 100 * float((given == labels).mean())
            ratio = 1.0 if method == "dense" else 20.0
            made = record(method, task, ratio, seeds[place], score, scores={"accuracy": score})
            found.append(made)
            answers[made.id] = Predictions(labels, given)
    return found, answers


def claim(**changes: Any) -> Claim:
    said: dict[str, Any] = {
        "better": "a", "worse": ("b",), "tasks": TASKS, "ratio": 20.0, "by": 0.0, "seeds": SEEDS,
        "versions": {}, "sentence": "", "written": "2026-12-01T08:00:00+00:00",
    }  # fmt: skip
    return Claim(**said | changes)


def judged(claims: list[Claim], right: dict[str, tuple[int, int]]) -> list[Verdict]:
    found, answers = planted(right)
    plain = [one.to_json() for one in claims]
    return verdicts(suite(found, claims=plain), found, answers.get)


@pytest.mark.parametrize(
    ("right", "changes", "word"),
    [
        ({"a": (80, 80), "b": (70, 70)}, {}, "supported"),
        ({"a": (80, 80), "b": (70, 70)}, {"by": 5.0}, "supported"),
        ({"a": (80, 80), "b": (70, 70)}, {"by": 15.0}, "contradicted"),
        ({"a": (70, 70), "b": (80, 80)}, {}, "contradicted"),
        ({"a": (70, 70), "b": (70, 70)}, {}, "undecided"),
        ({"a": (80, 80), "b": (70, 70)}, {"by": 10.0}, "undecided"),
        ({"a": (90, 68), "b": (70, 70)}, {}, "supported"),  # on average
        ({"a": (90, 68), "b": (70, 70)}, {"tasks": ("rte",)}, "contradicted"),
        ({"a": (80, 80), "dense": (70, 70)}, {"worse": ("dense",)}, "supported"),
        # better than each of several
        ({"a": (80, 80), "b": (70, 70), "c": (60, 60)}, {"worse": ("b", "c")}, "supported"),
        ({"a": (80, 80), "b": (70, 70), "c": (80, 80)}, {"worse": ("b", "c")}, "undecided"),
        ({"a": (80, 80), "b": (70, 70), "c": (90, 90)}, {"worse": ("b", "c")}, "contradicted"),
        ({"a": (80, 80), "b": (90, 90), "c": (90, 90)}, {"worse": ("b", "c")}, "contradicted"),
        ({"a": (80, 80), "b": (70, 70), "c": (60, 60)}, {"worse": ("b", "c"), "by": 12.0},
         "contradicted"),
    ],
)  # fmt: skip
def test_a_verdict_follows_the_lead_over_every_opponent(
    right: dict[str, tuple[int, int]], changes: dict[str, Any], word: str
) -> None:
    (found,) = judged([claim(**changes)], right)
    assert found.word == word
    for name, lead in found.leads.items():
        tasks = [TASKS.index(task) for task in found.claim.tasks]
        wanted = np.mean([right["a"][t] - right[name][t] for t in tasks])
        assert lead.value == pytest.approx(wanted, abs=0.3)
        assert (lead.p < 0.05) == (abs(wanted - found.claim.by) > 1)


def test_a_claim_takes_holm_over_all_claims_of_the_suite() -> None:
    """A claim's own p is the largest of its opponents', or the smallest of those ahead, doubled."""
    right = {"a": (80, 80), "b": (80, 80), "c": (79, 80), "d": (82, 81)}
    claims = [claim(worse=("b",)), claim(worse=("b", "c")), claim(worse=("c", "d")),
              claim(better="missing")]  # fmt: skip
    found = judged(claims, right)
    assert [verdict.word for verdict in found][-1] == "not run yet"
    raw = []
    for verdict in found[:3]:
        ahead = [lead.p for lead in verdict.leads.values() if lead.value < 0]
        each = [lead.p for lead in verdict.leads.values()]
        raw.append(min(1.0, len(each) * min(ahead)) if ahead else max(each))
    assert [verdict.p for verdict in found[:3]] == pytest.approx(holm([*raw, 1.0])[:3])
    assert found[3].p is None


def test_too_few_seeds_of_one_task_decide_nothing_and_the_page_says_so() -> None:
    """Of the 20 ways to share six scores among two methods, two are the extreme ones: p = 0.1."""
    found, answers = planted({"a": (90, 90), "b": (60, 60)})
    for tasks, word, least in ((("cola",), "undecided", 2 / 20), (TASKS, "supported", 2 / 20**2)):
        plain = claim(tasks=tasks, seeds=SEEDS[:3]).to_json()
        (verdict,) = verdicts(suite(found, claims=[plain]), found, answers.get)
        assert verdict.word == word
        assert verdict.leads["b"].least_p == pytest.approx(least)
        assert f"the smallest p {least:.2g}" in render_markdown("claims.md", claims=[verdict])


def test_what_is_not_run_or_failed_is_said_and_nothing_is_tested() -> None:
    right = {"a": (80, 80), "b": (70, 70)}
    found, answers = planted(right)
    asked = suite(found, claims=[claim().to_json()])
    (part,) = verdicts(asked, found[:-3], answers.get)
    assert (part.word, part.reason) == ("not run yet", "3 of 24 cells are not done")
    failed = [*found[:-1], dataclasses.replace(found[-1], status="missed")]
    (lost,) = verdicts(asked, failed, answers.get)
    assert (lost.word, lost.leads) == ("undecided", {})
    assert lost.reason == "1 of 24 cells failed or have not met the ratio"
    (blind,) = verdicts(asked, found, lambda cell_id: answers.get(cell_id) if cell_id != found[0].id
                        else None)  # fmt: skip
    assert (blind.word, blind.reason) == ("undecided", "predictions are missing")


def test_a_claim_about_an_older_version_is_not_shown_as_yet_to_be_run() -> None:
    found, answers = planted({"a": (80, 80), "b": (70, 70)})
    plain = claim(versions={"a": 1, "b": 1}).to_json()
    for versions, word in (({"a": 2, "b": 1}, "undecided"), ({"a": 1, "b": 1}, "supported")):
        (verdict,) = verdicts(suite(found, claims=[plain], versions=versions), found, answers.get)
        assert verdict.word == word
    newer = verdicts(suite(found, claims=[plain], versions={"a": 2}), [], answers.get)
    assert "older version of a" in render_markdown("claims.md", claims=newer)


def test_other_seeds_ratios_and_methods_of_the_page_decide_nothing() -> None:
    found, answers = planted({"a": (80, 80), "b": (70, 70)})
    asked = suite(found, claims=[claim().to_json()])
    (alone,) = verdicts(asked, found, answers.get)
    more, known = planted({"a": (10, 10), "c": (50, 99)}, seeds=(0, 1, 2))
    elsewhere = [
        dataclasses.replace(r, id=f"{r.id}-4", cell=r.cell | {"ratio": 4.0}) for r in found[::-1]
    ]
    assert verdicts(asked, [*more, *elsewhere, *found], (known | answers).get) == [alone]


def test_a_page_opens_with_its_claims_and_escapes_their_words() -> None:
    found, answers = planted({"a": (80, 80), "b": (70, 70)})
    sentence = "a *beats* b | <b>always</b>\nnow"
    asked = suite(found, claims=[claim(by=2.0, sentence=sentence).to_json()])
    page = make_page(asked, found, FOLDER, answers.get)
    title, heading, intro, lines, glossary = page.markdown.split("\n\n")[:5]
    assert (title[:11], heading) == ("# example: ", "## Claims")
    assert intro.startswith("Written down before the cells ran")
    assert glossary.startswith("<details><summary>Words used here")
    first, second = lines.splitlines()
    assert first.startswith(
        r"- **Supported.** “a \*beats\* b \| \<b\>always\</b\> now” a is better than b by more "
        "than 2 points on the average of cola, rte at 20×, seeds 10–15. p "
    )
    assert first.endswith("Written 2026-12-01.")
    assert second.startswith("  - over b: 10.0 ± ")
    (plain,) = json.loads(page.files[FOLDER / "example.json"])["claims"]
    assert plain["sentence"] == sentence
    assert (plain["verdict"], plain["leads"]["b"]["value"]) == (
        "supported",
        pytest.approx(10, 0.02),
    )
    (line,) = page.claims
    assert tables_of(page).startswith(f"{line}\n\n")
    assert tables_of(page, "html").startswith(f"<p>{html.escape(line)}</p>")
    assert line.startswith("supported (p ")
    without = make_page(suite(found), found, FOLDER, answers.get)
    assert "## Claims" not in without.markdown
    assert "claims" not in json.loads(without.files[FOLDER / "example.json"])


def test_a_claim_of_cells_to_come_says_how_many() -> None:
    found, answers = planted({"a": (80, 80), "b": (70, 70)})
    asked = suite(found, claims=[claim().to_json()])
    said = render_markdown("claims.md", claims=verdicts(asked, found[:10], answers.get))
    assert "- **Not run yet.** a is better than b" in said
    assert "14 of 24 cells are not done." in said
    assert render_markdown("claims.md", claims=[]) == ""
