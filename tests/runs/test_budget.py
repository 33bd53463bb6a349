"""`bench budget`: what is bought, what is refused, and a page from the command line."""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
from typing import TYPE_CHECKING, Any

import harness
import pytest
import torch
from pyarrow import parquet
from tiny_models import tiny_classifier
from transformers import AutoModelForMaskedLM, BertTokenizer

from bench import registry
from bench.compression.target import Target
from bench.data.corpus import Corpus
from bench.data.tasks import demo
from bench.errors import BenchError
from bench.leaderboard.page import write_run_page
from bench.models.checkpoint import read_config
from bench.models.heads import describe_head
from bench.results.budgets import OPTIONS
from bench.results.store import Store
from bench.results.suites import open_suite
from bench.runs.budget import Question, _Shop, general_flops, options_of
from bench.testing import Toy, toy_config, toy_rows

if TYPE_CHECKING:
    from pathlib import Path

ASKED: dict[str, Any] = {
    "budgets": (50.0, 200.0), "label_price": 0.5, "compute_price": "2/EFLOP", "pretrain_steps": 5,
}  # fmt: skip


def test_an_hour_is_as_dear_as_what_it_computes() -> None:
    hour = Question(**{**ASKED, "compute_price": "7.2/hour", "flops_per_second": 1e15})
    assert hour.eflop_price == pytest.approx(7.2 / 3.6)
    assert Question(**ASKED).eflop_price == 2


def test_the_rest_buys_labels() -> None:
    """n = ⌊(B − C) / p⌋, and none where that is below 1."""
    shop = _Shop(Question(**ASKED), available=300, pretraining=0)
    assert [shop.rows(50, flops) for flops in (0, 12.4e18, 24.75e18, 24.76e18, 30e18)] == [
        100, 50, 1, None, None,
    ]  # fmt: skip
    assert shop.rows(1e6, 0) == 300
    assert shop.rows(0.5 * 29, 0) == 29  # which is 28.999… times the price of some labels


@pytest.mark.parametrize(("said", "wrong"), [
    ({"label_price": 0}, "--label-price 0 is not above 0"),
    ({"compute_price": "0/EFLOP"}, "--compute-price 0 is not above 0"),
    ({"compute_price": "2"}, "not of the form"),
    ({"compute_price": "nan/hour"}, "not of the form"),
    ({"compute_price": "2/hour"}, "needs --flops-per-second"),
    ({"flops_per_second": 1e9}, "leave it"),
    ({"budgets": (0.4,)}, "does not pay for one label at 0.5"),
    ({"budgets": (-1.0,)}, "not above 0"),
    ({"pretrain_steps": 0}, "at least 1"),
    ({"currency": "gold coins"}, "short word"),
])  # fmt: skip
def test_prices_that_are_none_are_refused(said: dict[str, Any], wrong: str) -> None:
    with pytest.raises(BenchError, match=wrong):
        Question(**{**ASKED, **said})


def test_options_are_those_that_a_method_has() -> None:
    def of(name: str, **pins: str) -> list[str]:
        return list(options_of(registry.methods.get(name), pins))

    assert of("magnitude") == ["labels", "pre-training"]
    assert of("tinybert") == ["labels", "pre-training", "distillation", "both"]
    assert of("tinybert", general_epochs="0") == ["labels", "pre-training"]
    assert of("prune-ofa") == ["distillation", "both"]  # it always reads unlabelled text


@pytest.mark.parametrize(("name", "tolerance"), [
    ("tinybert", 0.2), ("minilm", 0.02), ("dman", 0.1), ("prune-ofa", 0.1),
])  # fmt: skip
def test_general_distillation_costs_about_what_is_foretold(
    name: str, tolerance: float, tmp_path: Path
) -> None:
    method = registry.methods.get(name)
    toy = Toy(tmp_path, method, 4.0, {"epochs": 1})
    run = toy.run()
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(toy_config()).save_pretrained(run.context.encoder)
    toy_rows(2).save(tmp_path / "rows.parquet")
    corpus = Corpus(name="some.txt", hash="some", path=tmp_path / "rows.parquet", rows=48)
    run = dataclasses.replace(run, context=dataclasses.replace(run.context, corpus=corpus))
    method().compress(run, method.Params(learning_rate=1e-3))
    (charged,) = [f for part, f in run.made_once.values() if part == "general distillation"]
    config = read_config(run.context.encoder)
    describe_head(config, run.task.info.labels, spans=False)
    lengths = toy_rows(2).lengths
    foretold = general_flops(method, {}, config, Target("weights", 4.0, 16), lengths)
    assert foretold == pytest.approx(charged, rel=tolerance)


# The command line.

PRICES = ("--label-price", "1", "--compute-price", "5000/hour", "--flops-per-second", "7e8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(demo.corpus(200, seed=5)) + "\n", encoding="utf-8")
    return path


def buy(runs: Path, text: Path, *words: str) -> harness.Result:
    return harness.bench(
        "budget", "--task", "demo-sentiment", "--corpus", text, "--budgets", "40,80", *PRICES,
        "--pretrain-steps", "100", "--methods", "tinybert", "--ratio", "4", "--epochs", "1",
        "--seeds", "1", "--workers", "1", "--runs", runs, "--currency", "$", *words,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    runs = tmp_path_factory.mktemp("bought") / "runs"
    result = buy(runs, text)
    assert result.status == 0, result.err
    assert "What a budget buys: tinybert, 4×" in result.out
    return runs


@pytest.mark.slow
def test_every_cell_has_the_rows_that_it_could_buy(bought: Path) -> None:
    suite = open_suite(bought)
    purchases = suite.suite["budget"]["purchases"]
    price = suite.suite["budget"]["eflop_price"] / 1e18
    records = {(r.cell["method"], r.cell["ratio"]): r for r in suite.records}
    assert {one["option"] for one in purchases} == set(OPTIONS)
    infeasible = 0
    for one in purchases:
        left = one["budget"] - one["flops"] * price
        assert one["rows"] == (int(left) if left >= 1 else None)
        if one["rows"] is None:
            infeasible += 1
            continue
        record = records[one["row"], one["ratio"]]
        facts, parts = record.data, record.cost["parts"]
        assert facts["train"] == one["rows"] == facts["fit"] + facts["tune"]
        charged = sum(parts.get(part, 0)
                      for part in ("continued pre-training", "general distillation"))  # fmt: skip
        assert charged == pytest.approx(one["flops"], rel=0.2)
        if one["option"] == "pre-training":
            assert charged == one["flops"]
    assert infeasible
    assert len(suite.records) == len(suite.suite["cells"])
    assert all("max_train_samples" in method for method, _ in records)
    assert len(list(bought.glob("encoders/*/pretraining.json"))) == 1
    assert len(list(bought.glob("shared/*/cost.json"))) == 2  # of either encoder, for all rows


@pytest.mark.slow
def test_rows_of_a_larger_budget_hold_those_of_a_smaller(bought: Path) -> None:
    ids = {}
    for folder in bought.glob("data/demo-sentiment-*"):
        found = parquet.read_table(folder / "train.parquet")["id"].to_pylist()
        ids[len(found)] = set(found)
    sizes = sorted(ids)
    assert len(sizes) > 3
    assert all(ids[a] < ids[b] for a, b in itertools.pairwise(sizes))


@pytest.mark.slow
def test_the_page_says_what_the_records_do(bought: Path) -> None:
    page = (bought / "budget-demo-sentiment.md").read_text(encoding="utf-8")
    suite = open_suite(bought)
    for one in suite.suite["budget"]["purchases"]:
        scores = [r.score for r in suite.records
                  if (r.cell["method"], r.cell["ratio"]) == (one["row"], one["ratio"])]  # fmt: skip
        if scores:
            assert f"{statistics.fmean(scores):.1f} ({one['rows']} rows)" in page
    assert "is infeasible at 40: computing costs" in page and "\\$" in page
    assert "**labels** and **pre-training**" in page and "**labels** and **both**" in page
    assert "bench budget --task demo-sentiment" in page and "$TEXT_DIR/text.txt" in page
    assert "(budget-demo-sentiment-budget.svg)" in page
    before = {path.name: path.read_bytes() for path in bought.glob("budget-*")}
    write_run_page(Store(bought), "budget-demo-sentiment")
    assert before == {path.name: path.read_bytes() for path in bought.glob("budget-*")}


@pytest.mark.slow
def test_the_same_command_goes_on_and_a_larger_budget_adds_cells(bought: Path, text: Path) -> None:
    assert "0 to run" in buy(bought, text, "--dry-run").out
    more = buy(bought, text, "--dry-run", "--budgets", "40,80,90")
    assert "90" in more.out and "0 to run" not in more.out


def test_nothing_is_left_behind_by_a_plan(tmp_path: Path, text: Path) -> None:
    result = buy(tmp_path / "runs", text, "--dry-run")
    assert result.status == 0 and "infeasible" in result.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("words", "wrong"), [
    (["--budgets", "0.5"], "does not pay for one label"),
    (["--label-price", "0"], "not above 0"),
    (["--methods", "majority"], "names none that compresses"),
    (["--methods", "magnitude:max_train_samples=5"], "leave it"),
    (["--corpus", "nowhere.txt"], "no file"),
    (["--task", "demo"], "labels of one task"),
])  # fmt: skip
def test_what_is_not_possible_is_one_line(
    words: list[str], wrong: str, tmp_path: Path, text: Path
) -> None:
    result = buy(tmp_path / "runs", text, *words)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert wrong in result.err
    assert not list(tmp_path.glob("runs/*/"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    result = harness.bench("budget", "--task", "demo-sentiment", "--runs", tmp_path)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "--budgets is missing" in result.err
    words = ("--budgets", "9", *PRICES, "--methods", "magnitude", "--ratio", "4")
    result = harness.bench("budget", "--task", "demo-sentiment", *words, "--pretrain-steps", "5")
    assert "--corpus is missing" in result.err


def test_an_encoder_without_a_head_is_refused(tmp_path: Path, text: Path) -> None:
    tiny_classifier("bert").save_pretrained(tmp_path / "bare")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    BertTokenizer({w: n for n, w in enumerate(words)}).save_pretrained(tmp_path / "bare")
    result = buy(tmp_path / "runs", text, "--model", str(tmp_path / "bare"))
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "no masked-language-model head" in result.err


def test_a_suite_without_a_budget_has_no_such_section(finished: Path) -> None:
    assert "What a budget buys" not in (finished / "demo.md").read_text(encoding="utf-8")
    assert "budget" not in json.loads((finished / "suites" / "demo.json").read_text())
