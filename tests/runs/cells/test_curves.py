"""What trials and final runs keep of their training, and who pays for it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from cells import execute
from scipy import stats
from studies import cell

from bench.data.prepare import load
from bench.leaderboard.ranking import Row
from bench.models.checkpoint import load_model
from bench.runs.cells import execute as cells
from bench.runs.cells.execute import execute_trial
from bench.runs.cells.study import Study
from bench.runs.cells.tuning import tuned
from bench.runs.schedule import select
from bench.training.evaluate import predict

if TYPE_CHECKING:
    from bench.runs.cells.context import Context


def trained(context: Context, method: str) -> dict:
    """The first trial of a method's study."""
    bound = context.bind(cell(context, method))
    dense = None if method == "dense" else tuned(bound.reference())
    assert execute_trial(bound, dense)
    return Study(bound).summary()["trials"][0]


def test_a_trials_curve_ends_at_its_score(context: Context) -> None:
    context = dataclasses.replace(
        context, protocol=dataclasses.replace(context.protocol, trials=1, epochs=3)
    )
    for method in ("dense", "magnitude", "tinybert"):
        outcome = trained(context, method)
        curve = outcome["curve"]
        assert curve["steps"][-1] == outcome["steps"] == 12, method  # 128 fit rows, 3 epochs
        assert curve["score"][-1] == pytest.approx(outcome["score"]), method
        assert len(curve["loss"]) == len(curve["score"]) == len(curve["steps"]) >= 9
        # steps 10 of 12 is the last point before the end
        late = curve["score"][curve["steps"].index(10)]
        assert curve["gain"]["points"] == pytest.approx(curve["score"][-1] - late)


def test_dense_is_told_from_the_majority_on_tune_rows(context: Context) -> None:
    """Against a paired test of the rows that one of the two has right."""
    context = dataclasses.replace(
        context, protocol=dataclasses.replace(context.protocol, trials=1, epochs=4)
    )
    outcome = trained(context, "dense")
    data = load(context.tasks["demo-sentiment"])
    majority = np.bincount(data.fit.labels).argmax() == data.tune.labels
    assert outcome["against_majority"]["score"] == pytest.approx(100 * majority.mean())
    bound = context.bind(cell(context, "dense"))
    model = load_model(context.runs / "references" / outcome["reference"],
                       bound.task.info.labels, 0.1)  # fmt: skip
    right = predict(model, data.tune, "cpu").argmax(axis=1) == data.tune.labels
    wanted = stats.ttest_rel(right.astype(float), majority.astype(float)).pvalue
    assert outcome["against_majority"]["p"] == pytest.approx(wanted, rel=0.3, abs=1e-4)


def test_a_final_run_knows_its_loss_alone_and_pays_nothing_for_it(context: Context) -> None:
    context = dataclasses.replace(context, protocol=dataclasses.replace(context.protocol, trials=0))
    for method in ("dense", "magnitude"):
        record = execute(cell(context, method), context)
        assert record.curve is not None
        assert record.curve.keys() == {"steps", "loss"}
        assert record.curve["steps"][-1] == record.cost["steps"]
    assert execute(cell(context, "majority"), context).curve is None


def untuned(context: Context) -> Context:
    protocol = dataclasses.replace(context.protocol, trials=0)
    return dataclasses.replace(context, protocol=protocol, hardest=4.0)


def test_where_nothing_is_searched_one_training_shows_convergence_and_is_charged(
    context: Context,
) -> None:
    context = untuned(context)
    bound, dense = (context.bind(cell(context, name)) for name in ("knowledge-aware", "dense"))
    assert tuned(dense) is None
    for one, reference in ((dense, None), (bound, dense)):
        assert execute_trial(one, reference and tuned(reference))
        assert not execute_trial(one, reference and tuned(reference))
    (outcome,) = Study(bound).summary()["trials"]
    assert outcome["curve"]["score"][-1] == pytest.approx(outcome["score"])
    found, its_dense = tuned(bound), tuned(dense)
    assert found is not None
    assert its_dense is not None
    assert found.params == bound.params()
    assert its_dense.facts["against_majority"].keys() == {"dense", "score", "p"}
    record = cells.execute(bound, found, its_dense)
    parts = record.cost["parts"]
    assert parts["convergence"] == sum(outcome["flops"].values())
    (reference_cost,) = outcome["kept"].values()  # the tuning reference, which is dense's own
    assert parts["reference's convergence"] == reference_cost[1]
    assert record.cost["train_flops"] == sum(parts.values())
    row = Row("knowledge-aware", {}, {"demo-sentiment": [1.0]}, [record])
    final = record.cost["train_flops"] - parts["convergence"] - reference_cost[1]
    assert row.train_flops(tuning=False) == final


def test_it_is_made_at_the_hardest_ratio_and_of_what_is_trained(context: Context) -> None:
    context = untuned(context)
    assert [context.bind(cell(context, "magnitude", ratio)).trials for ratio in (2, 4)] == [0, 1]
    assert context.bind(cell(context, "majority")).trials == 0
    assert context.bind(cell(context, "magnitude", ratio=1e6)).trials == 0
    (rows,) = context.tasks.values()
    bare = dataclasses.replace(rows, facts={**rows.facts, "tune": 0})
    context = dataclasses.replace(context, tasks={"demo-sentiment": bare})
    assert context.bind(cell(context, "magnitude")).trials == 0


def test_it_comes_right_before_its_first_cell(context: Context) -> None:
    context = untuned(context)
    plan = [
        dataclasses.replace(cell(context, method), seed=seed)
        for seed in (0, 1)
        for method in ("dense", "majority", "magnitude", "movement")
    ]
    todo, _ = select(plan, context, "never")
    found = [f"{job.cell.method}{' trial' if job.trial else f' {job.cell.seed}'}" for job in todo]
    assert found == [
        "dense trial", "dense 0", "majority 0", "magnitude trial", "magnitude 0",
        "movement trial", "movement 0", "dense 1", "majority 1", "magnitude 1", "movement 1",
    ]  # fmt: skip
