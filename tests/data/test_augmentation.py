"""Word replacement: what is proposed, what is drawn, and what it costs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoders import SHAPE, WORDS, save, save_bert, save_roberta
from tiny_tasks import Few
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertTokenizer

from bench.data.augmentation import CANDIDATES, Augmenter
from bench.data.task import Source
from bench.data.tasks.demo import Sentiment, demo_encoder_path
from bench.errors import BenchError

TEXT = "Winter paints the heavy river, and (bright) evening waterfalls sings silver songs"
"""For the tiny encoders, `the` and `and` are stop words, and two words have several pieces."""


def plain_candidates(folder: Path, text: str, word: str, piece: str, marker: str) -> list[str]:
    """One word, one row, one full pass over the model with its whole head."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    pieces = tokenizer.tokenize(text)
    assert pieces.count(piece) == 1
    masked = [tokenizer.mask_token if p == piece else p for p in pieces]
    first, last = tokenizer.cls_token, tokenizer.sep_token
    between = [last] if marker == "" else [last, last]
    row = [first, *masked, *between, *pieces, last]
    inputs = {"input_ids": torch.tensor([tokenizer.convert_tokens_to_ids(row)])}
    if marker == "":
        second = len(pieces) + 1
        inputs["token_type_ids"] = torch.tensor([[0] * (len(row) - second) + [1] * second])
    with torch.no_grad():
        logits = model(**inputs).logits[0, row.index(tokenizer.mask_token)]
    found = []
    for number in logits.argsort(descending=True).tolist():
        name = tokenizer.convert_ids_to_tokens(number)
        if name.startswith(marker) and re.fullmatch("[A-Za-z]+", name[len(marker) :]):
            found.append(name[len(marker) :])
    return found[:CANDIDATES]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_candidates_are_those_of_a_plain_loop(family: str, tmp_path: Path) -> None:
    byte_level = family == "roberta"
    folder = save_roberta(tmp_path) if byte_level else save_bert(tmp_path)
    text = f"x {TEXT}" if byte_level else TEXT
    found = Augmenter(folder, 1, weights="").candidates(text)
    words = {text[begin:end] for begin, end in found}
    # byte-level pieces of a word differ with what stands before it; `(bright` has several
    expected = {"Winter", "paints", "heavy", "river", "evening", "sings", "silver"}
    assert words == (expected if byte_level else expected | {"bright"})
    for (begin, end), candidates in found.items():
        piece = f"Ġ{text[begin:end]}" if byte_level else text[begin:end].lower()
        marker = "Ġ" if byte_level else ""
        assert candidates == plain_candidates(folder, text, text[begin:end], piece, marker)


def test_what_is_no_word_of_one_piece_is_left_alone(encoder: Path) -> None:
    augmenter = Augmenter(encoder, 1, weights="")
    for text in ("the and the", "waterfalls songs", "didn't didn 't t", "green-paper", "r2 17 ,",
                 "unheard", ""):  # fmt: skip
        assert augmenter.candidates(text) == {}, text
        assert augmenter.vary([text]) == []


def test_the_rest_of_a_text_stays_as_it_is(encoder: Path) -> None:
    augmenter = Augmenter(encoder, 30, weights="")
    text = "The  RIVER ,\tthe Stone; 17 waterfalls!"
    shape = re.compile(r"The  (\w+) ,\tthe (\w+); 17 waterfalls!")
    variants = [shape.fullmatch(variant) for (variant,) in augmenter.vary([text])]
    assert len(variants) > 10
    proposed = augmenter.candidates(text)
    for variant in variants:
        assert variant is not None
        assert variant[1] in ["RIVER", *proposed[5, 10]]
        assert variant[2] in ["Stone", *proposed[17, 22]]


def test_four_words_in_ten_are_replaced_by_any_candidate(encoder: Path) -> None:
    """One of the fifteen candidates is the word itself, after which nothing has changed."""
    augmenter = Augmenter(encoder, 3000, weights="")
    text = "river stone"
    generator = np.random.default_rng(0)
    drawn = [augmenter._replace(text, generator).split() for _ in range(3000)]
    candidates = augmenter.candidates(text)[0, 5]
    counts = {word: sum(first == word for first, _ in drawn) for word in candidates}
    others = [count for word, count in counts.items() if word != "river"]
    assert sum(first != "river" for first, _ in drawn) == pytest.approx(
        3000 * 0.4 * len(others) / 15, rel=0.1
    )
    assert min(others) > 50
    assert max(others) < 110


def test_variants_differ_and_a_larger_number_holds_the_smaller(encoder: Path) -> None:
    many = Augmenter(encoder, 40, weights="").vary(["river stone"])
    few = Augmenter(encoder, 5, weights="").vary(["river stone"])
    assert many[: len(few)] == few
    assert len(set(many)) == len(many) < 40
    assert ("river stone",) not in many


def test_of_a_pair_one_text_varies_at_a_time(encoder: Path) -> None:
    augmenter = Augmenter(encoder, 20, weights="")
    pair = ("winter garden paper cloud", "summer window letter copper")
    variants = augmenter.vary(pair)
    changed = [tuple(a != b for a, b in zip(pair, variant, strict=True)) for variant in variants]
    assert set(changed) == {(True, False), (False, True)}
    assert abs(changed.count((True, False)) - changed.count((False, True))) <= 4
    assert augmenter.vary(("river stone", "the")) == augmenter.vary(("river stone", "the"))
    assert all(second == "the" for _, second in augmenter.vary(("river stone", "the")))


def test_what_does_not_fit_the_positions_is_cut(tmp_path: Path) -> None:
    augmenter = Augmenter(save_bert(tmp_path, positions=16), 1, weights="")
    found = augmenter.candidates(" ".join(["river"] * 10))
    assert len(found) == 10  # the unmasked copy is cut first
    found = augmenter.candidates(" ".join(["river"] * 100))
    assert list(found) == [(6 * i, 6 * i + 5) for i in range(15)]


def test_a_row_does_not_depend_on_the_others(demo: Augmenter) -> None:
    rows = Sentiment().load(Source()).train.select(range(40))
    made, _ = demo.augment(rows)
    assert made[0].to_list() == demo.augment(rows)[0][0].to_list()
    alone = [7, 3, 30]
    few, _ = demo.augment(rows.select(alone))
    for number, source in enumerate(alone):
        wanted = [row["text"] for row in made[0] if row["source"] == source]
        assert wanted
        assert wanted == [row["text"] for row in few[0] if row["source"] == number]


def test_a_variant_keeps_all_but_its_text(demo: Augmenter) -> None:
    rows = Sentiment().load(Source()).train.select(range(20)).add_column("part", ["a", "b"] * 10)
    (made,), _ = demo.augment(rows)
    assert made.column_names == [*rows.column_names, "source"]
    for row in made:
        source = rows[row["source"]]
        assert (row["label"], row["part"]) == (source["label"], source["part"])
        assert row["text"] != source["text"]
        assert row["id"].startswith(f"{source['id']}+")
    assert len(set(made["id"])) == len(made)


def test_the_language_model_is_charged_over_real_tokens(demo: Augmenter) -> None:
    """By hand: an encoder pass for each masked word, and the head's two matrices at its place."""
    rows = Few().load(Source()).train
    tokenizer = AutoTokenizer.from_pretrained(demo_encoder_path())
    _, flops = demo.augment(rows)
    width, layers, feed_forward, vocabulary = 64, 2, 128, 318
    macs = 0
    for text in set(rows["text"]):
        tokens = min(len(tokenizer(text, text)["input_ids"]), 64)
        macs += len(demo.candidates(text)) * (
            tokens * layers * (4 * width**2 + 2 * width * feed_forward)
            + 2 * tokens**2 * width * layers
            + width * width + vocabulary * width
        )  # fmt: skip
    assert flops == 2 * macs
    assert demo.augment(rows)[1] == flops  # whatever an earlier task has paid for


def test_a_vocabulary_without_words_is_refused(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"##{word}" for word in WORDS)]
    tokenizer = BertTokenizer({piece: number for number, piece in enumerate(pieces)})
    save(tmp_path, BertConfig(vocab_size=len(pieces), **SHAPE), tokenizer)
    with pytest.raises(BenchError, match="whole words"):
        Augmenter(tmp_path, 1, weights="")
