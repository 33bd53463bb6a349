"""The card of an exported model, read by huggingface_hub's own parser."""

from __future__ import annotations

import json
import re
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from card_code import LABELS, blocks, printed_here
from harness import bench, records
from huggingface_hub import ModelCard
from safetensors import safe_open

from bench.results.record import Record, slim
from bench.results.store import Store
from bench.sharing.card import complete, embedded
from bench.sharing.facts import facts_of


@pytest.fixture(scope="module")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    record = records(finished)["magnitude", 4.0, 0]
    folder = tmp_path_factory.mktemp("exported") / "hf"
    done = bench("export", record.id, "--runs", finished, "--out", folder)
    assert done.status == 0, done.err
    return folder, record


def test_its_metadata_says_what_the_record_says(exported: tuple[Path, Record]) -> None:
    folder, record = exported
    data = ModelCard.load(folder / "README.md").data
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", record.scores["accuracy"])
    assert (result.task_type, result.dataset_name) == ("text-classification", "demo-sentiment")
    assert data.license == "apache-2.0"
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert {"pruning", "sparse"} <= set(data.tags)
    assert data.to_dict()["bench"]["record"] == record.id
    assert data.base_model is None  # which is part of the package, and not on the hub
    assert not (folder / ".eval_results").exists()


def test_its_text_has_the_interval_and_the_ratios(
    exported: tuple[Path, Record], finished: Path
) -> None:
    folder, record = exported
    text = ModelCard.load(folder / "README.md").text
    scores = [records(finished)["magnitude", 4.0, seed].score for seed in (0, 1)]
    assert f"{statistics.fmean(scores):.2f} ± " in text
    two = "(mean of 2 seeds, 95 % interval, which says next to nothing with two seeds)"
    assert text.count(two) == 1
    dense = [records(finished)["dense", 1.0, seed].score for seed in (0, 1)]
    assert f"The dense model: {statistics.fmean(dense):.2f} (mean of 2 seeds)." in text
    assert f"{record.footprint['weights']['ratio']:.2f}×" in text
    for head in ("How to load it", "What it must not be used for", "Licence", "Size and speed"):
        assert f"## {head}" in text
    assert "bench run --tasks demo-sentiment" in text
    assert record.cell["protocol"] in text


def test_the_weights_carry_the_record(exported: tuple[Path, Record], finished: Path) -> None:
    folder, record = exported
    held = embedded(folder / "model.safetensors")
    assert held == json.loads(json.dumps({**slim(record), "created": record.created}))
    assert Record.from_json(held).score == record.score
    kept = finished / record.id / "model" / "model.safetensors"
    with safe_open(folder / "model.safetensors", "np") as one, safe_open(kept, "np") as other:
        assert one.metadata()["format"] == "pt"
        assert set(one.keys()) == set(other.keys())
        assert all((one.get_tensor(k) == other.get_tensor(k)).all() for k in other.keys())  # noqa: SIM118


def test_rows_of_the_hub_are_evaluation_results(copied: Path, tmp_path: Path) -> None:
    store = Store(copied)
    record = records(copied)["magnitude", 4.0, 0]
    data = {**record.data, "source": "nyu-mll/glue", "revision": "f" * 40}
    model = {"model": "bert-base-uncased"}
    for one in records(copied).values():
        store.put(replace(one, cell={**one.cell, **model}, data={**one.data, **data}))
    (path,) = (copied / "suites").glob("*.json")
    suite = json.loads(path.read_text())
    del suite["sha256"]
    suite["weights"] = "0" * 16
    suite["commands"] = ["bench run --tasks sst2 --model google-bert/bert-base-uncased"]
    path.write_text(json.dumps(suite))
    folder = tmp_path / "hf"
    folder.mkdir()
    kept = copied / record.id / "model" / "model.safetensors"
    (folder / "model.safetensors").write_bytes(kept.read_bytes())
    record = records(copied)["magnitude", 4.0, 0]
    complete(folder, store, record)
    data_of = ModelCard.load(folder / "README.md").data
    assert data_of.base_model == "google-bert/bert-base-uncased"
    assert data_of.to_dict()["base_model_relation"] == "finetune"
    assert data_of.datasets == ["nyu-mll/glue"]
    assert data_of.license is None  # nobody fetched its card
    (result,) = yaml.safe_load((folder / ".eval_results" / "demo-sentiment.yaml").read_text())
    assert result["dataset"] == {
        "id": "nyu-mll/glue", "task_id": "demo-sentiment", "revision": "f" * 40,
    }  # fmt: skip
    assert result["value"] == record.score
    assert "mean of 2 seeds" in result["notes"]


def test_a_figure_of_two_parts_is_one_metric_of_two_splits(finished: Path) -> None:
    from bench.sharing import card

    record = records(finished)["magnitude", 4.0, 0]
    scores = {"accuracy_matched": 60.0, "accuracy_mismatched": 62.0}
    data = {**record.data, "source": "nyu-mll/glue", "revision": "f" * 40}
    facts = replace(
        facts_of(Store(finished), record), record=replace(record, scores=scores, data=data)
    )
    found = card._metadata(facts, None).eval_results
    assert [(one.metric_type, one.dataset_split, one.metric_value) for one in found] == [
        ("accuracy", "validation_matched", 60.0), ("accuracy", "validation_mismatched", 62.0),
    ]  # fmt: skip
    assert card._metric("pearson") == "pearsonr"  # the hub's names of metrics


def test_no_name_is_markup(copied: Path) -> None:
    store = Store(copied)
    record = records(copied)["magnitude", 4.0, 0]
    facts = facts_of(store, record)
    from bench.sharing import card

    evil = "</details><script>alert(1)</script> | [x](http://evil) `y`\n# z"
    strange = replace(record, cell={**record.cell, "model": evil}, params={evil: evil})
    text = card._text(replace(facts, record=strange), "", None)
    assert "<script>" not in text
    assert "[x](http" not in text
    assert "\n# z" not in text


def test_an_interval_of_three_seeds_is_said_as_it_is(finished: Path) -> None:
    from bench.sharing import card

    facts = facts_of(Store(finished), records(finished)["magnitude", 4.0, 0])
    three = card._mean(replace(facts, scores=dict.fromkeys(range(3), 60.0)))
    assert three.endswith("(mean of 3 seeds, 95 % interval)")


def test_its_code_runs_as_it_stands(
    exported: tuple[Path, Record], tmp_path: Path, monkeypatch
) -> None:
    folder, record = exported
    monkeypatch.chdir(folder)
    loaded, read = blocks((folder / "README.md").read_text())
    assert printed_here(loaded, tmp_path / "load.py") in LABELS
    assert float(printed_here(read, tmp_path / "read.py")) == record.score


@pytest.mark.parametrize(
    ("task", "head", "said"),
    [
        ("demo-paraphrase", "SequenceClassification", r"paraphrase|different"),
        ("demo-similarity", "SequenceClassification", r"-?[0-9.]+"),
        ("squad", "QuestionAnswering", r".*"),
    ],
)
def test_code_for_other_heads_and_for_pairs_runs_too(
    task: str, head: str, said: str, finished: Path, tmp_path: Path, monkeypatch
) -> None:
    """The text alone is of another task; the encoder gets the head that it names."""
    import transformers
    from transformers import AutoTokenizer

    from bench import registry
    from bench.data.tasks.demo import demo_encoder_path
    from bench.metrics import METRICS
    from bench.sharing import card

    info = registry.task(task).info
    facts = facts_of(Store(finished), records(finished)["magnitude", 4.0, 0])
    facts = replace(facts, task=info, metric=METRICS[info.metric], pairs=True)
    held = {"num_labels": 1} if info.labels is None else {"id2label": dict(enumerate(info.labels))}
    auto = getattr(transformers, f"AutoModelFor{head}")
    auto.from_pretrained(demo_encoder_path(), **held).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(demo_encoder_path()).save_pretrained(tmp_path)
    text = card._text(facts, "", None)
    assert ('tokenizer("One text.", "The other text."' in text) == (task != "squad")
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(said, printed_here(blocks(text)[0], tmp_path / "load.py"))


def test_pairs_are_known_by_the_rows_that_are_kept(copied: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    from bench.data.texts import find_prepared, keep_texts
    from bench.sharing import facts

    store, record = Store(copied), records(copied)["magnitude", 4.0, 0]
    assert not facts._has_pairs(store, record)  # sentences, each by itself
    assert not facts._has_pairs(Store(tmp_path), record)  # rows that are gone
    folder = find_prepared(copied / "data", record.cell["task"], record.data["fingerprint"])
    assert folder is not None
    (texts,) = folder.glob("report-texts.parquet")
    table = Dataset.from_parquet(str(texts), cache_dir=str(tmp_path))
    texts.unlink()
    keep_texts(folder, {"report": table.add_column("text_pair", table["text"][:])})
    assert facts._has_pairs(store, record)


def test_a_licence_goes_by_the_weights(finished: Path, tmp_path: Path, monkeypatch) -> None:
    from bench import hub
    from bench.data.tasks.demo import demo_encoder_path
    from bench.models.folder import weight_hash
    from bench.sharing import card

    facts = facts_of(Store(finished), records(finished)["magnitude", 4.0, 0])
    assert card.licence(facts) == "apache-2.0"
    other = replace(facts, suite={**facts.suite, "weights": "0" * 16})
    assert card.licence(other) is None  # another's encoder of the same name
    encoder = Path(shutil.copytree(demo_encoder_path(), tmp_path / "encoder"))
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.2}))
    (encoder / "README.md").write_text("---\nlicense: mit\n---\n")
    monkeypatch.setattr(hub, "snapshot", lambda *_, **__: encoder)
    cell = {**facts.record.cell, "model": "mini"}
    suite = {**facts.suite, "commands": ["bench run --model lab/mini"]}
    mini = replace(facts, record=replace(facts.record, cell=cell))
    own = replace(mini, suite={**suite, "weights": weight_hash(encoder)})
    assert (own.base, card.licence(own)) == ("lab/mini", "mit")
    moved = replace(mini, suite={**suite, "weights": "1" * 16})
    assert (moved.base, card.licence(moved)) == ("lab/mini", None)
