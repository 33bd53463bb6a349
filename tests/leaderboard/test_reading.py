"""What a page says that it shows: computed from standings, and written by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from planted import lead
from scipy.stats import t

from bench.errors import BenchError
from bench.leaderboard import permutation
from bench.leaderboard.ranking import Row, Standings
from bench.leaderboard.reading import (
    MOST_BULLETS,
    MOST_COMPUTED,
    MOST_WORDS,
    computed_bullets,
    reading_list,
    split_bullets,
)
from bench.leaderboard.statistics import Estimate, average, average_pairs, ranks

KINDS = {"dense": "reference", "majority": "reference", "small-dense": "small", "tinybert": "small"}
CONTROLS = ("dense", "majority", "small-dense", "random-mask")


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the seeds say is settled here, see `planted.lead`; few shuffles find that, too."""
    monkeypatch.setattr(permutation, "SHUFFLES", 9_999)
    permutation._shuffles.cache_clear()
    yield
    permutation._shuffles.cache_clear()


def table(
    scores: dict[str, list[float]],
    tasks: tuple[str, ...] = ("one", "two"),
    error: float = 1.0,
    outside: tuple[str, ...] = (),
) -> Standings:
    """Methods with a score on each task; all differences have the same standard error."""

    def estimate(value: float) -> Estimate:
        return Estimate(value, error**2, 30, error**2)

    means = {name: dict(zip(tasks, row, strict=True)) for name, row in scores.items()}
    pairs = {
        task: {
            (one, other): lead(estimate(means[one][task] - means[other][task]))
            for one, other in itertools.combinations(scores, 2)
        }
        for task in tasks
    }
    averaged = [task for task in tasks if task not in outside and task != "wnli"]
    together = average_pairs([pairs[task] for task in averaged])
    competitors = [name for name in scores if name not in CONTROLS]
    rows = [
        Row(
            name,
            {"kind": KINDS.get(name, "unstructured"), "control": name in CONTROLS},
            {task: [value] for task, value in means[name].items()},
            [],
        )
        for name in scores
    ]
    return Standings(
        rows=rows,
        tasks=tasks,
        averaged=averaged,
        uninformative=list(outside),
        averages={
            name: average([estimate(means[name][task]) for task in averaged]) for name in scores
        },
        pairs=pairs,
        average_pairs=together,
        overall=ranks(together, competitors),
    )


def said(result: Standings, ratio: float = 20.0) -> str:
    return "\n".join(computed_bullets({ratio: result}))


# With a standard error of 1 on each of two tasks, an average has one of 0.71, so that the interval
# of a difference is ± 1.4 (Student's t with 60 degrees of freedom).


def test_the_best_leads_the_next_one_and_each_small_dense_method() -> None:
    result = table({"a": [60, 50], "b": [50, 40], "tinybert": [30, 40], "small-dense": [10, 20]})
    assert said(result).splitlines()[0] == (
        "At 20×, a (average 55.0) leads b by 10.0 ± 1.4 points, tinybert by 20.0 ± 1.4 points and "
        "small-dense by 40.0 ± 1.4 points (each p < 0.001)."
    )


def test_a_lead_has_its_p_after_holms_correction_over_what_the_page_ranks() -> None:
    """By hand: a difference of averages has a standard error of √½ and 60 degrees of freedom."""

    def p(difference: float) -> float:
        return float(2 * t.sf(difference / 0.5**0.5, 60))

    result = table({"a": [52.4, 50], "b": [50, 48], "c": [49.8, 48], "small-dense": [49.6, 48]})
    # Of three pairs of competitors, a and c differ most, b and c least. Of the three pairs with
    # small-dense, that with a differs most.
    assert said(result).splitlines()[0] == (
        f"At 20×, a (average 51.2) leads b by 2.2 ± 1.4 points (p = {2 * p(2.2):.2g}) and "
        f"small-dense by 2.4 ± 1.4 points (p = {3 * p(2.4):.2g})."
    )
    assert f"{2 * p(2.2):.2g} {3 * p(2.4):.2g}" == "0.0057 0.0037"


def test_who_is_not_told_apart_comes_first_where_it_is_the_next_one() -> None:
    result = table({"a": [60, 50], "b": [59, 50], "tinybert": [30, 40], "small-dense": [10, 20]})
    assert said(result).splitlines()[:2] == [
        "At 20×, a (average 55.0) is not told apart from b (0.5 ± 1.4, p = 0.48).",
        "a leads tinybert by 20.0 ± 1.4 points and small-dense by 40.0 ± 1.4 points "
        "(each p < 0.001).",
    ]


def test_that_nothing_is_told_apart_is_said_first() -> None:
    level = {"a": [50, 50], "b": [49, 50], "random-mask": [49, 49], "small-dense": [50, 49]}
    assert said(table(level)).startswith(
        "At 20×, no two methods are told apart on average, random-mask and small-dense included.\n"
    )
    assert said(table(level | {"random-mask": [10, 10]})).startswith(
        "At 20×, no two methods are told apart on average, small-dense included.\n"
    )
    worse = {"random-mask": [10, 10], "small-dense": [10, 10]}
    assert said(table(level | worse)).startswith(
        "At 20×, no two competitors are told apart on average. "
        "a (average 50.0) is not told apart from b (0.5 ± 1.4, p = 0.48).\n"
    )
    assert "told apart on average" not in said(table(level | {"b": [10, 10]}))


def test_the_task_that_makes_up_most_of_the_lead_is_named_with_its_scores() -> None:
    result = table({"a": [60, 50], "b": [30, 40]})
    assert "75 % of the lead over b comes from one (60.0 against 30.0)." in said(result)
    result = table({"a": [60, 40], "b": [30, 50]})
    assert "The whole lead over b comes from one (60.0 against 30.0)." in said(result)
    alone = table({"a": [60], "b": [30]}, tasks=("one",))
    assert "comes from" not in said(alone)
    level = table({"a": [60, 50], "b": [60, 49.9], "tinybert": [30, 45]})
    assert "86 % of the lead over tinybert comes from one" in said(level)  # the first it beats


def test_the_distance_to_dense_is_said_or_who_is_above_it_at_which_ratio() -> None:
    scores = {"a": [60, 50], "b": [30, 20], "dense": [60, 51]}
    assert "a is 0.5 ± 1.4 points below dense on average (p = 0.48)." in said(table(scores))
    scores |= {"dense": [59, 50]}
    assert "a is 0.5 ± 1.4 points above dense on average (p = 0.48)." in said(table(scores))
    low, high = table(scores | {"dense": [40, 30]}), table(scores | {"dense": [10, 10]})
    bullets = "\n".join(computed_bullets({4.0: high, 20.0: low}))
    assert "Significantly above dense on average: a at 4× and 20×; b at 4×." in bullets
    assert "points above dense" not in bullets


def test_a_random_mask_that_is_not_last_is_said() -> None:
    scores = {"a": [60, 50], "b": [30, 20], "random-mask": [30, 21], "small-dense": [29, 21]}
    assert "random-mask is not last: b and small-dense are below it, not significantly." in said(
        table(scores)
    )
    scores |= {"small-dense": [10, 10]}
    assert "random-mask is not last: small-dense is below it, significantly." in said(table(scores))
    assert "not last" not in said(table(scores | {"random-mask": [9, 9]}))


def test_tasks_outside_the_average_are_named_with_the_reason() -> None:
    result = table({"a": [60, 50, 1], "b": [30, 20, 2]}, ("one", "two", "wnli"), outside=("two",))
    assert said(result).endswith(
        "Left out of the average: two, where dense is not told apart from majority. "
        "Never part of an average: wnli."
    )


def test_without_a_test_only_the_order_is_said() -> None:
    result = table({"a": [60, 50], "b": [30, 40], "random-mask": [31, 40], "dense": [70, 70]})
    result = replace(result, pairs={"one": {}, "two": {}}, average_pairs={}, overall={})
    assert said(result).splitlines() == [
        "At 20×, a has the highest average (55.0). Nothing was tested: that takes two seeds and "
        "their predictions.",
        "random-mask is not last: b is below it.",
    ]


def test_the_hardest_ratio_is_read_and_a_table_without_competitors_says_nothing() -> None:
    easy, hard = table({"a": [60, 50], "b": [1, 1]}), table({"a": [1, 1], "b": [60, 50]})
    assert computed_bullets({20.0: hard, 4.0: easy})[0].startswith("At 20×, b (average 55.0) leads")
    assert computed_bullets({20.0: table({"dense": [1, 1], "random-mask": [0, 0]})}) == []
    (alone, *_) = computed_bullets({4.0: table({"a": [60, 50], "random-mask": [1, 1]})})
    assert alone == "At 4×, a (average 55.0) leads random-mask by 54.0 ± 1.4 points (p < 0.001)."


@pytest.mark.parametrize("draw", range(40))
def test_no_table_gives_too_many_bullets_or_too_long_ones(draw: int) -> None:
    chance = random.Random(draw)
    names = [f"m{n}:k={n}" for n in range(chance.randint(1, 12))]
    small = [f"tinybert:depth={n}" for n in range(chance.randint(0, 4))]
    tasks = tuple(f"t{n}" for n in range(chance.randint(1, 9)))
    spread = chance.choice([0.5, 3.0, 30.0])

    def drawn() -> Standings:
        scores = {n: [50 + chance.gauss(0, spread) for _ in tasks] for n in [*names, *small]}
        scores |= {n: [50 + chance.gauss(0, spread) for _ in tasks] for n in CONTROLS}
        result = table(scores, tasks, outside=tasks[1::3])
        rows = [replace(r, facts={**r.facts, "kind": "small"}) if r.method in small else r
                for r in result.rows]  # fmt: skip
        return replace(result, rows=rows)

    bullets = computed_bullets({ratio: drawn() for ratio in (2.0, 4.0, 10.0, 20.0)})
    assert 0 < len(bullets) <= MOST_COMPUTED
    assert all(len(bullet.split()) <= MOST_WORDS for bullet in bullets), bullets
    assert all(bullet.endswith(".") for bullet in bullets)


def test_names_are_escaped() -> None:
    result = table({"a_b|c": [60, 50], "d_e": [30, 50]}, tasks=("t_1", "t_2"))
    assert r"a\_b\|c (average 55.0) leads d\_e" in said(result)
    assert r"comes from t\_1" in said(result)


def test_written_bullets_follow_the_computed_ones_up_to_five() -> None:
    results = {20.0: table({"a": [60, 50], "b": [30, 50]})}
    computed = computed_bullets(results)
    room = MOST_BULLETS - len(computed)
    written = [f"Written {n}." for n in range(room)]
    assert reading_list("x", results, written) == [*computed, *written]
    many = f"suites/x.md has {room + 1} bullets, and {len(computed)} are computed"
    with pytest.raises(BenchError, match=many):
        reading_list("x", results, [*written, "One more."])


def test_a_written_bullet_of_too_many_words_is_an_error() -> None:
    results = {20.0: table({"a": [60, 50], "b": [30, 50]})}
    assert "word word" in reading_list("x", results, ["word " * MOST_WORDS])[-1]
    with pytest.raises(
        BenchError, match=r"suites/x.md: the bullet 'first word .* has 31 words: 30"
    ):
        reading_list("x", results, ["first " + "word " * MOST_WORDS])


def test_bullets_are_read_from_a_text() -> None:
    assert split_bullets("- one\n\n- two\n  goes on\n") == ["one", "two goes on"]
    assert split_bullets("") == []
    for text in ("A sentence.\n", "  indented\n", "- one\ntwo\n", "* one\n"):
        with pytest.raises(BenchError, match="is no bullet"):
            split_bullets(text)
