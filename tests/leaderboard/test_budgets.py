"""What a page says of a budget, from scores that are known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.leaderboard.break_even import Curve
from bench.leaderboard.budgets import Group, bought_by, budget_figure, budget_section, budget_tables
from bench.leaderboard.statistics import Sample
from bench.results.budgets import Budget, Purchase

EXAMPLES = 30


def sample(scores: list[float]) -> Sample:
    return Sample(dict(enumerate(scores)), {s: np.zeros(EXAMPLES) for s in range(len(scores))})


def purchase(budget: float, option: str, flops: float, rows: int | None) -> Purchase:
    return Purchase(budget=budget, option=option, method="tiny|bert", ratio=20.0, flops=flops,
                    rows=rows, row=rows and f"tiny|bert:max_train_samples={rows}")  # type: ignore[arg-type]  # fmt: skip


def example(seeds: int) -> tuple[Budget, Group]:
    """Labels gain 5 points each time a budget doubles; what computes first stays at 70."""
    spread = np.linspace(-0.1, 0.1, seeds)
    options = {
        "labels": {50.0: (100, 65.0), 100.0: (200, 70.5), 200.0: (400, 76.0)},
        "pre-training": {50.0: (None, 0.0), 100.0: (80, 72.0), 200.0: (280, 72.0)},
    }
    bought = {
        option: {at: purchase(at, option, 6e17 * (option != "labels"), rows)
                 for at, (rows, _) in points.items()}
        for option, points in options.items()
    }  # fmt: skip
    curves = {
        option: Curve({at: sample([score + float(s) for s in spread])
                       for at, (rows, score) in points.items() if rows}, lambda budget: budget)
        for option, points in options.items()
    }  # fmt: skip
    budget = Budget(
        task="sst2", currency="$", label_price=0.5, eflop_price=100.0, compute_price="2/hour",
        flops_per_second=1e13, available=900, pretrain_steps=40,
        purchases=[one for points in bought.values() for one in points.values()],
    )  # fmt: skip
    return budget, Group("tiny|bert, 20×", bought, curves, {})  # type: ignore[arg-type]


def test_the_best_option_of_each_budget_and_what_is_not_told_apart() -> None:
    budget, group = example(seeds=5)
    heads, rows = budget_tables(budget, [group])["What a budget buys: tiny|bert, 20×"]
    assert heads == ["budget, $", "labels", "pre-training", "best"]
    cells = [row[1].replace(row[1].partition("± ")[2].partition(" ")[0], "x") for row in rows]
    assert cells == ["65.0 ± x (100 rows)", "70.5 ± x (200 rows)", "76.0 ± x (400 rows)"]
    assert [row[2].partition(" ±")[0] for row in rows] == ["infeasible", "72.0", "72.0"]
    assert [row[3] for row in rows] == ["labels", "pre-training", "labels"]


def test_three_seeds_tell_nothing_apart() -> None:
    budget, group = example(seeds=3)
    _, rows = budget_tables(budget, [group])["What a budget buys: tiny|bert, 20×"]
    assert [row[3] for row in rows] == ["labels", "pre-training (labels)", "labels (pre-training)"]
    assert "Fewer than 5 seeds pass no test" in budget_section(budget, [group])


def test_the_section_has_prices_break_even_and_what_is_infeasible() -> None:
    budget, group = example(seeds=5)
    page = budget_section(budget, [group])
    assert "A label of sst2 costs 0.5 \\$" in page
    assert "(2/hour at 1e+13 FLOPs a second)" in page
    assert "### tiny\\|bert, 20×" in page
    assert "**pre-training** is infeasible at 50: computing costs 60 \\$" in page
    # From 1.5 points below to 4 above while the budget doubles once: 3/11 of the way.
    crossing = 100 * 2 ** (1.5 / 5.5)
    assert f"**labels** and **pre-training** break even at {crossing:.3g} \\$" in page
    assert "beyond which labels is better" in page


def test_the_figure_is_the_same_each_time_and_shows_every_option() -> None:
    budget, group = example(seeds=5)
    figure = budget_figure(budget, [group])
    assert figure == budget_figure(budget, [group])
    for shown in ("labels", "pre-training", "budget, $", "tiny|bert, 20×"):
        assert shown in figure
    assert budget_figure(budget, []) == ""


@pytest.mark.parametrize("suite", [{}, {"budget": None}])
def test_a_suite_that_buys_nothing_has_none_of_it(suite: dict[str, None]) -> None:
    assert bought_by(suite, [], lambda cell: None) is None
