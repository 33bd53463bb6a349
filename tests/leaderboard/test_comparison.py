"""Two methods side by side: the numbers that the page ranks by."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import PAGES, bench, records
from pyarrow import parquet
from scipy.stats import t as student

from bench.leaderboard.ranking import standings
from bench.leaderboard.statistics import difference
from bench.results.suites import open_suite


def test_compare_prints_what_the_page_ranks_by(finished: Path) -> None:
    result = bench("compare", "magnitude", "random-mask", "--task", "demo-sentiment", "--runs",
                   finished, "--json")  # fmt: skip
    assert result.status == 0, result.err
    found = json.loads(result.out)
    scores = {
        method: [r.score for key, r in records(finished).items() if key[0] == method]
        for method in ("magnitude", "random-mask")
    }
    lead = np.mean(scores["magnitude"]) - np.mean(scores["random-mask"])
    assert found["difference"] == pytest.approx(lead)
    spread = found["half_width_95"] / student.ppf(0.975, found["freedom"])
    by_t = 2 * student.sf(lead / spread, found["freedom"])
    assert found["p_examples"] == pytest.approx(by_t)
    assert found["p"] == max(found["p_examples"], found["p_seeds"])
    # Two seeds of scores as far apart as these tell nothing apart by themselves.
    assert 1 <= found["freedom"] < 2
    assert found["p"] <= found["p_holm"] <= 1
    turned = json.loads(
        bench("compare", "random-mask", "magnitude", "--task", "demo-sentiment", "--runs", finished,
              "--json").out
    )  # fmt: skip
    assert turned["difference"] == -found["difference"]
    assert turned["p"] == found["p"]
    one = [
        parquet.read_table(finished / records(finished)[m, 4.0, s].id / "predictions.parquet")
        for m in ("magnitude", "random-mask")
        for s in (0, 1)
    ]
    given = np.array([table["prediction"].to_numpy() for table in one])
    differ = np.flatnonzero(given[:2].sum(axis=0) != given[2:].sum(axis=0))
    assert sorted(example["row"] for example in found["examples"]) == differ.tolist()
    leads = [abs(example["lead"]) for example in found["examples"]]
    assert leads == sorted(leads, reverse=True)
    text = bench("compare", "magnitude", "dense", "--task", "demo-sentiment", "--runs", finished)
    assert "after Holm over every competitor against dense\n" in text.out
    assert "degrees of freedom" in text.out
    assert "(exact permutation, 0.33 at the least)" in text.out
    assert found["holm_over"] == "every competitor against random-mask"


def test_compare_on_the_average_is_what_the_page_ranks_by() -> None:
    """By hand: variances of independent tasks add, p from both tests, then Holm."""
    suite = ("--name", "glue-mini", "--runs", PAGES, "--ratio", "20", "--json")
    tasks = ("stsb", "sst2", "cola")  # MRPC tells nothing there

    def of(*words: str) -> dict[str, Any]:
        result = bench("compare", *words, *suite)
        assert result.status == 0, result.err
        return dict(json.loads(result.out))

    opened = open_suite(PAGES, "glue-mini")
    at = {
        ratio: [r for r in opened.records if r.cell["ratio"] == ratio and r.cell["task"] in tasks]
        for ratio in (20.0, 1.0)
    }
    table = standings(at[20.0], at[1.0], tasks, opened.answers)
    rivals = ("knowledge-aware", "tinybert", "magnitude", "movement")
    ps, whole = {}, {}
    for pair in itertools.combinations(rivals, 2):
        each = [of(*pair, "--task", task) for task in tasks]
        half = [e["half_width_95"] / student.ppf(0.975, e["freedom"]) / 3 for e in each]
        variance = sum(h**2 for h in half)
        lead = np.mean([e["difference"] for e in each])
        whole[pair] = of(*pair)
        assert whole[pair]["tasks"] == list(tasks)
        assert whole[pair]["difference"] == pytest.approx(lead)
        weighed = [difference(table.pairs[task], *pair).estimate.weighed for task in tasks]
        freedom = sum(weighed) ** 2 / sum(
            w**2 / e["freedom"] for w, e in zip(weighed, each, strict=True)
        )
        assert whole[pair]["freedom"] == pytest.approx(freedom)
        by_t = 2 * student.sf(abs(lead) / variance**0.5, freedom)
        assert whole[pair]["p_examples"] == pytest.approx(by_t)
        assert whole[pair]["least_p"] == pytest.approx(2 / 20**3)
        ps[pair] = max(by_t, whole[pair]["p_seeds"])
    smallest = min(ps, key=lambda pair: ps[pair])
    assert whole[smallest]["p_holm"] == pytest.approx(6 * ps[smallest])


def test_who_has_no_average_is_not_compared_on_it() -> None:
    refused = bench("compare", "magnitud", "dense", "--name", "glue-mini", "--runs", PAGES)
    assert refused.status == 2
    assert "with a score on stsb and sst2 and cola" in refused.err


def test_a_method_is_not_compared_with_itself() -> None:
    refused = bench("compare", "movement", "movement", "--name", "glue-mini", "--runs", PAGES,
                    "--ratio", "20")  # fmt: skip
    assert (refused.status, refused.out) == (2, "")
    assert "both are movement" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("magnitud dense --task demo-sentiment", "Did you mean 'magnitude'?"),
        ("magnitude dense --task demo-sentimen", "Did you mean 'demo-sentiment'?"),
        ("magnitude dense --task demo-sentiment --ratio 7", "no ratio 7; it has 4"),
        ("magnitude dense --task demo-sentiment --name sum", "unknown suite 'sum'"),
        ("magnitude dense", "no task of the suite counts towards an average"),
    ],
)
def test_compare_names_what_there_is(words: str, said: str, finished: Path) -> None:
    refused = bench("compare", *words.split(), "--runs", finished)
    assert refused.status == 2
    assert said in refused.err
