"""Held-out text: its two parts, its masks, and what word frequencies are worth."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from probes import prepare, save_encoder
from safetensors.numpy import load_file
from tiny_models import CONFIGS
from transformers import BertTokenizer

from bench.data.probe import UNASKED, VIEWS, Probe, frequency_loss, halves, prepare_probe
from bench.data.tasks.demo import demo_encoder_path, probe_text
from bench.errors import BenchError


def tensors_of(probe: Probe, part: str) -> dict[str, np.ndarray]:
    return load_file(probe.folder / f"{part}.safetensors")


# Both parts.


def test_half_of_the_texts_lie_in_each_part_and_equal_ones_together() -> None:
    texts = [f"Passage {number}." for number in range(60)]
    parts = halves([*texts, *(text.upper() for text in texts), *texts])
    assert len(parts["fit"]) == len(parts["held_out"]) == 90
    plain = [{text.lower() for text in parts[part]} for part in ("fit", "held_out")]
    assert plain[0].isdisjoint(plain[1])
    backwards = halves(texts[::-1])
    assert backwards["fit"] == [text for text in texts[::-1] if text in parts["fit"]]


def test_masks_are_the_same_each_time_and_hide_what_is_asked(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    again = prepare_probe(
        tmp_path / "held.txt", encoder=encoder, cache=tmp_path / "other", length=128
    )
    assert again is not None
    assert (again.hash, again.rows, again.masked) == (probe.hash, probe.rows, probe.masked)
    tokenizer = BertTokenizer.from_pretrained(encoder)
    lines = halves((tmp_path / "held.txt").read_text().splitlines())
    for part, views in VIEWS.items():
        tensors, same = (tensors_of(one, part) for one in (probe, again))
        assert all(np.array_equal(tensors[key], same[key]) for key in tensors)
        rows = tokenizer(lines[part], truncation=True, max_length=40)["input_ids"]
        original = np.concatenate(rows)
        ordinary = ~np.isin(original, tokenizer.all_special_ids)
        pieces, targets = (tensors[key].reshape(views, -1) for key in ("pieces", "targets"))
        assert len(tensors["offsets"]) == views * len(rows) + 1
        asked = targets != UNASKED
        assert (asked.sum(axis=1) == math.ceil(0.15 * ordinary.sum())).all()
        assert asked.sum(axis=0).max() == 1  # no place twice
        for view in range(views):
            assert ordinary[asked[view]].all()
            assert np.array_equal(targets[view][asked[view]], original[asked[view]])
            assert (pieces[view][asked[view]] == tokenizer.mask_token_id).all()
            assert np.array_equal(pieces[view][~asked[view]], original[~asked[view]])
    assert (probe.rows, probe.masked) == (len(lines["held_out"]), asked.sum())


def test_another_text_or_tokenizer_has_another_hash(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    text = tmp_path / "held.txt"
    text.write_text(text.read_text(encoding="utf-8") + "w1 w2\n", encoding="utf-8")
    other = prepare_probe(text, encoder=encoder, cache=tmp_path / "data", length=128)
    assert other is not None
    assert other.hash != probe.hash


def test_a_checkpoint_without_a_head_is_an_obstacle(tmp_path: Path) -> None:
    for name in CONFIGS:
        folder = tmp_path / name
        folder.mkdir()
        probe, _ = prepare(folder, name, head=False)
        assert "no masked-language-model head" in probe.objection
        assert probe.masked == 0


def test_only_the_demos_encoder_has_a_text_of_its_own(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder", "bert")
    assert prepare_probe(None, encoder=encoder, cache=tmp_path, length=128) is None
    probe = prepare_probe(None, encoder=demo_encoder_path(), cache=tmp_path, length=128)
    assert probe is not None
    assert (probe.name, probe.rows) == ("demo", len(halves(probe_text())["held_out"]))


def test_a_text_that_is_too_short_for_two_parts_is_refused(tmp_path: Path) -> None:
    encoder, text = save_encoder(tmp_path / "encoder", "bert"), tmp_path / "held.txt"
    text.write_text("w1 w2 w3\nw1  W2 w3\n", encoding="utf-8")
    with pytest.raises(BenchError, match=r"A half holds no word.*longer text"):
        prepare_probe(text, encoder=encoder, cache=tmp_path / "data", length=128)


# Word frequencies.


def test_frequencies_are_those_counted_by_hand() -> None:
    """Each known piece by the others says what to add; with that, what is asked is named."""
    known, asked, kinds = [3, 3, 3, 3, 5, 5, 8], [3, 8, 9], 10
    counts = Counter(known)

    def left_out(added: float) -> float:
        likelihood = 1.0
        for piece in known:
            others = list(known)
            others.remove(piece)
            likelihood *= (others.count(piece) + added) / (len(others) + added * kinds)
        return likelihood

    added = max((10 ** (k / 10 - 3) for k in range(41)), key=left_out)
    assert 0.01 < added < 5  # inside the range
    expected = -sum(math.log((counts[p] + added) / (7 + 10 * added)) for p in asked) / 3
    found = frequency_loss(np.array(known), np.array(asked), kinds)
    assert found == pytest.approx(expected, rel=1e-12)


def test_frequencies_of_much_text_cost_the_entropy_of_its_source() -> None:
    weights = 1 / np.arange(1, 31)
    weights /= weights.sum()
    known, asked = np.random.default_rng(0).choice(30, (2, 40_000), p=weights)
    entropy = -(weights * np.log(weights)).sum()
    assert frequency_loss(known, asked, 30) == pytest.approx(entropy, abs=0.02)


def test_a_probes_floor_is_that_of_its_parts(tmp_path: Path) -> None:
    probe, encoder = prepare(tmp_path, "bert")
    special = BertTokenizer.from_pretrained(encoder).all_special_ids
    fit, held = (tensors_of(probe, part) for part in ("fit", "held_out"))
    each = len(fit["pieces"]) // VIEWS["fit"]
    pieces, targets = fit["pieces"][:each], fit["targets"][:each]
    text = np.where(targets == UNASKED, pieces, targets)
    asked = held["targets"][held["targets"] != UNASKED]
    expected = frequency_loss(text[~np.isin(text, special)], asked, 45)
    assert probe.frequencies == pytest.approx(expected)
