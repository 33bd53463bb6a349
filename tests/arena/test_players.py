"""What models answer in the arena, beside what the harness says of them by other ways."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import harness
import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny_models import CONFIGS, sparse_classifier
from transformers import BertConfig

from bench.arena.players import _check_labels, find_players, input_times_gradient
from bench.arena.rows import training_rows
from bench.data.equal_texts import normalised
from bench.data.prepare import encode
from bench.data.task import Source
from bench.data.tasks.demo import Sentiment
from bench.deploy.export import inputs_of
from bench.errors import BenchError
from bench.files import write_json
from bench.models.checkpoint import load_classifier, max_pieces
from bench.results.store import Store
from bench.training.evaluate import predict


def test_answers_are_those_of_the_kept_models(finished: Path) -> None:
    cells = harness.records(finished)
    small, dense = cells["magnitude", 4.0, 0], cells["dense", 1.0, 0]
    field = find_players(Store(finished), [small.id, small.id[:12]])
    assert [player.model.id for player in field.players] == [dense.id, small.id]
    assert [player.model.dense for player in field.players] == [None, dense.id]
    assert field.labels == Sentiment.info.labels
    text = "a warm and funny film, though far too long"
    answers = field.answers([text])
    rows = Dataset.from_dict({"id": ["0"], "text": [text], "label": [0]})
    for answer in answers:
        folder = finished / answer.model / "model"
        model, _ = load_classifier(str(folder))
        (encoded,) = encode([rows], folder, field.length, False)
        logits = torch.from_numpy(predict(model, encoded, "cpu"))[0]
        assert answer.probabilities == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
        assert answer.label == int(logits.argmax())
        words = [text[word.begin : word.end] for word in answer.words]
        assert words == text.split()
    assert field.pieces([text]) == len(encoded.pieces)


def test_records_that_say_little_are_played_all_the_same(finished: Path, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(finished, tmp_path / "runs"))
    for record in harness.records(runs).values():
        bare = {axis: {"ratio": size["ratio"]} for axis, size in record.footprint.items()}
        path = runs / record.id / "record.json"
        write_json(path, dataclasses.replace(record, data={}, footprint=bare).to_json())
    small = harness.records(runs)["magnitude", 4.0, 0]
    folder = runs / small.id / "model"
    assert find_players(Store(runs), [small.id]).length == max_pieces(folder)


@pytest.mark.parametrize("family", CONFIGS)
def test_influence_is_the_slope_along_a_words_embedding(family: str) -> None:
    """e · ∂z/∂e is dz/ds where e becomes s · e, at s = 1: by central differences."""
    model = sparse_classifier(family, density=1.0).double()
    inputs = inputs_of(model, 1, 6)
    found = input_times_gradient(model, inputs, 2)
    step = 1e-5

    def logit(place: int, factor: float) -> float:
        def scale(module: object, given: object, embeddings: torch.Tensor) -> torch.Tensor:
            changed = embeddings.clone()
            changed[:, place] *= factor
            return changed

        handle = model.get_input_embeddings().register_forward_hook(scale)
        try:
            with torch.no_grad():
                return float(model(**inputs).logits[0, 2])
        finally:
            handle.remove()

    slopes = [(logit(n, 1 + step) - logit(n, 1 - step)) / (2 * step) for n in range(6)]
    assert found == pytest.approx(slopes, rel=1e-5, abs=1e-8)
    assert not model.get_input_embeddings()._forward_hooks


def test_a_regression_has_no_label_to_aim_at(tmp_path: Path) -> None:
    for changes, reason in (
        ({"num_labels": 1}, "is a regression"),
        ({"architectures": ["BertForQuestionAnswering"]}, "looks for spans"),
    ):
        BertConfig(vocab_size=9, **changes).save_pretrained(tmp_path)
        with pytest.raises(BenchError, match=reason):
            _check_labels(tmp_path, "toy")


def test_rows_that_are_lent_are_no_report_rows(finished: Path) -> None:
    record = harness.records(finished)["dense", 1.0, 0]
    rows = training_rows(finished, "demo-sentiment", record.data["fingerprint"])
    splits = Sentiment().load(Source())
    known = dict(zip(splits.train["id"][:], zip(splits.train["text"][:], splits.train["label"][:],
                                                strict=True), strict=True))  # fmt: skip
    report = {normalised(text) for text in splits.dev["text"][:]}
    assert len(rows) == 600
    assert all(known[row.id] == (row.texts[0], row.label) for row in rows)
    assert not any(normalised(row.texts[0]) in report for row in rows)
    assert np.unique([row.id for row in rows]).size == len(rows)
    with pytest.raises(BenchError, match="no rows of"):
        training_rows(finished, "demo-sentiment", "0" * 16)
