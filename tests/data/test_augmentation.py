"""Word replacement: what is proposed, what is drawn, who trains on it and what it costs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
import numpy as np
import pytest
import torch
from cells import execute
from datasets import Dataset
from tokenizers.implementations import ByteLevelBPETokenizer
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    RobertaConfig,
    RobertaTokenizer,
)

from bench.data.augmentation import CANDIDATES, Augmenter
from bench.data.prepare import TaskData, load, prepare
from bench.data.splits import cut_tune
from bench.data.task import Source, Splits, Task, TaskInfo
from bench.data.tasks.demo import Sentiment, demo_encoder_path
from bench.errors import BenchError
from bench.protocol import Protocol
from bench.runs.cells.cell import Cell
from bench.runs.cells.context import Context

if TYPE_CHECKING:
    from bench.data.encoded import Encoded
    from bench.results.record import Record

WORDS = ["river", "stone", "cloud", "green", "heavy", "bright", "winter", "summer", "garden",
         "window", "letter", "paper", "silver", "copper", "morning", "evening", "walks", "sings",
         "paints", "reads"]  # fmt: skip
SHAPE = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "initializer_range": 0.5,  # at 0.02 every word would be as likely as any other
}
TEXT = "Winter paints the heavy river, and (bright) evening waterfalls sings silver songs"
"""For the tiny encoders, `the` and `and` are stop words, and two words have several pieces."""


def save_bert(folder: Path, positions: int = 48) -> Path:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "the", "and", "water", "son",
              "##falls", "##gs", ",", "(", ")", "didn", "'", "t", "-"]  # fmt: skip
    tokenizer = BertTokenizer({piece: number for number, piece in enumerate(pieces)})
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=positions, **SHAPE)
    return save(folder, config, tokenizer)


def save_roberta(folder: Path) -> Path:
    """A byte-level vocabulary that knows words after a space, and no `waterfalls` nor `songs`."""
    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    text = ["x " + " ".join([*WORDS, "the", "and", "Winter"]) for _ in range(5)]
    trained.train_from_iterator(text, vocab_size=2000, min_frequency=1, special_tokens=special,
                                show_progress=False)  # fmt: skip
    trained.save_model(str(folder))
    tokenizer = RobertaTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=80, **SHAPE)
    return save(folder, config, tokenizer)


def save(folder: Path, config: Any, tokenizer: Any) -> Path:
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def demo() -> Augmenter:
    return Augmenter(demo_encoder_path(), 4, weights="demo")


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


class Few(Task):
    """Some rows of the demo, of which some are equal."""

    info = TaskInfo(name="few", summary="", labels=("negative", "positive"), metric="accuracy")

    def __init__(self, rows: list[int] | None = None) -> None:
        self.rows = rows if rows is not None else [*range(60), 0, 1]

    def load(self, source: Source) -> Splits:
        whole = Sentiment().load(source)
        train = whole.train.select(self.rows).remove_columns("id")
        seen = [f"{row}{'b' * self.rows[:i].count(row)}" for i, row in enumerate(self.rows)]
        train = train.add_column("id", seen)
        return Splits(train=train, dev=whole.dev.select(range(10)))


def prepared_data(task: Task, augmenter: Augmenter, cache: Path) -> TaskData:
    return load(
        prepare(task, Source(), name="few", encoder=demo_encoder_path(), cap_at=None, cache=cache,
                augmenter=augmenter)
    )  # fmt: skip


def rows_of(data: Encoded) -> list[tuple[Any, ...]]:
    begins = data.offsets[:-1]
    pieces = [data.pieces[b : b + n].tolist() for b, n in zip(begins, data.lengths, strict=True)]
    return list(zip(data.ids, map(tuple, pieces), data.labels.tolist(), strict=True))


def test_trials_train_on_nothing_that_was_made_of_a_tune_row(
    demo: Augmenter, tmp_path: Path
) -> None:
    data = prepared_data(Few(), demo, tmp_path)
    fit, tune = cut_tune([(text,) for text in Few().load(Source()).train["text"]])
    assert tune
    assert len(data.tune) == len(tune)
    assert not any("+" in row for row in [*data.tune.ids, *data.report.ids])
    assert {row.partition("+")[0] for row in data.fit.ids}.isdisjoint(data.tune.ids)
    assert len(data.own) == len(fit) + len(tune)
    assert len(data.train) > 3 * len(data.own)
    made_of_tune = [row for row in data.train.ids if row.partition("+")[0] in data.tune.ids]
    assert len(data.fit) == len(data.train) - len(made_of_tune)


def test_fit_is_the_same_without_the_other_rows(demo: Augmenter, tmp_path: Path) -> None:
    whole = prepared_data(Few(), demo, tmp_path)
    fit, _ = cut_tune([(text,) for text in Few().load(Source()).train["text"]])
    alone = prepared_data(Few([Few().rows[i] for i in fit]), demo, tmp_path)
    assert rows_of(alone.train) == rows_of(whole.fit)


def test_the_cache_is_of_the_number_and_of_the_weights(
    demo: Augmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(augmenter: Augmenter | None) -> Path:
        return prepare(Few(), Source(), name="few", encoder=demo_encoder_path(), cap_at=None,
                       cache=tmp_path, augmenter=augmenter).folder  # fmt: skip

    fewer = Augmenter(demo_encoder_path(), 2, weights="demo")
    other = Augmenter(demo_encoder_path(), 4, weights="other")
    folders = [folder(augmenter) for augmenter in (None, demo, fewer, other)]
    assert len(set(folders)) == 4
    monkeypatch.setattr(Augmenter, "augment", lambda *_: pytest.fail("made twice"))
    assert folder(demo) == folders[1]


def test_rows_that_nothing_can_be_made_of(tmp_path: Path, encoder: Path) -> None:
    class Stop(Task):
        info = TaskInfo(name="stop", summary="", labels=("a", "b"), metric="accuracy")

        def load(self, source: Source) -> Splits:
            rows = [{"id": str(i), "text": "the and", "label": i % 2} for i in range(5)]
            return Splits(train=Dataset.from_list(rows), dev=Dataset.from_list(rows))

    augmenter = Augmenter(encoder, 3, weights="")
    prepared = prepare(Stop(), Source(), name="stop", encoder=encoder, cap_at=None,
                       cache=tmp_path, augmenter=augmenter)  # fmt: skip
    assert prepared.train_rows == len(load(prepared).train) == 5
    assert prepared.facts["augmentation"] == {"variants": 3, "rows": 0, "flops": 0}


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


PROTOCOL = Protocol(epochs=1, trials=0, precision="fp32", max_train_samples=80, augment=2)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    root = tmp_path_factory.mktemp("runs")
    prepared = prepare(
        Sentiment(),
        Source(),
        name="demo-sentiment",
        encoder=demo_encoder_path(),
        cap_at=PROTOCOL.max_train_samples,
        cache=root / "data",
        augmenter=Augmenter(demo_encoder_path(), PROTOCOL.augment, weights="demo"),
    )
    return Context(
        runs=root,
        protocol=PROTOCOL,
        encoder=demo_encoder_path(),
        weights="demo",
        tasks={"demo-sentiment": prepared},
        device="cpu",
        threads=1,
        keep_models="none",
    )


def run(context: Context, method: str, ratio: float = 1.0) -> Record:
    wanted = Cell(method, "demo-sentiment", "weights", ratio, 0, "demo", context.protocol.hash)
    return execute(wanted, context)


@pytest.mark.parametrize(
    ("method", "ratio"), [("dense", 1.0), ("magnitude", 4.0), ("magnitude:init=finetuned", 4.0)]
)
def test_whoever_trains_is_charged_once(context: Context, method: str, ratio: float) -> None:
    record = run(context, method, ratio)
    made = context.tasks["demo-sentiment"].facts["augmentation"]
    assert record.cost["parts"]["augmentation"] == made["flops"] > 0
    assert record.cost["train_flops"] == sum(record.cost["parts"].values())
    assert record.data["augmentation"] == made
    rows = 80 + made["rows"]
    assert rows == context.tasks["demo-sentiment"].train_rows
    assert record.cost["steps"] == -(-rows // 32)


def test_who_trains_nothing_pays_nothing_and_counts_the_tasks_own_labels(context: Context) -> None:
    record = run(context, "majority")
    assert record.cost["parts"] == {}
    data = load(context.tasks["demo-sentiment"])
    assert len(data.own.labels) == 80
    assert data.own.ids == data.train.ids[:80]


def test_an_encoder_without_a_head_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "classifier"
    AutoModelForSequenceClassification.from_pretrained(demo_encoder_path()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(demo_encoder_path()).save_pretrained(folder)
    for dry in ((), ("--dry-run",)):
        result = harness.quick(tmp_path / "runs", "--augment", "2", "--model", folder, *dry)
        assert result.status == 2
        assert result.err.count("\n") == 1
        assert "no masked-language-model head" in result.err
        assert "cls.predictions.transform.dense.weight" in result.err
    assert not list((tmp_path / "runs").glob("*/record.json"))
    assert harness.quick(tmp_path / "runs", "--augment", "0", "--model", folder).status == 0


def test_a_vocabulary_without_words_is_refused(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"##{word}" for word in WORDS)]
    tokenizer = BertTokenizer({piece: number for number, piece in enumerate(pieces)})
    save(tmp_path, BertConfig(vocab_size=len(pieces), **SHAPE), tokenizer)
    with pytest.raises(BenchError, match="whole words"):
        Augmenter(tmp_path, 1, weights="")


@pytest.mark.parametrize("number", ["-1", "two", "1.5", ""])
def test_what_is_no_number_of_variants_is_wrong_usage(number: str, tmp_path: Path) -> None:
    result = harness.quick(tmp_path, f"--augment={number}")
    assert result.status == 2
    assert "is not a whole number of at least 0" in result.err


def test_from_the_command_line_to_the_page(tmp_path: Path) -> None:
    plan = harness.quick(tmp_path, "--augment", "2", "--dry-run")
    assert plan.status == 0
    assert not list(tmp_path.iterdir())
    assert f"{2 * -(-600 * 3 // 32)} optimizer steps" in plan.out
    result = harness.quick(tmp_path, "--augment", "2")
    assert result.status == 0, result.err
    record = harness.records(tmp_path)["magnitude", 4.0, 0]
    made = record.data["augmentation"]
    assert made["variants"] == 2
    assert 600 < made["rows"] <= 1200
    assert record.cost["steps"] == -(-(600 + made["rows"]) // 32)
    page = (tmp_path / "demo.md").read_text(encoding="utf-8")
    assert "Training rows augmented: up to 2 variants of each by word replacement." in page
    assert f"600 of 1,200, {made['rows']:,} variants of them" in page
    assert "0 to run" in harness.quick(tmp_path, "--augment", "2").out


def test_without_variants_nothing_is_different(tmp_path: Path) -> None:
    assert harness.quick(tmp_path).status == 0
    assert "0 to run" in harness.quick(tmp_path, "--augment", "0").out
    assert "augment" not in (tmp_path / "demo.md").read_text(encoding="utf-8").partition("```")[0]
    assert "augmentation" not in harness.records(tmp_path)["magnitude", 4.0, 0].data
    assert Protocol(epochs=1, trials=0, precision="fp32") == dataclasses.replace(
        Protocol(epochs=1, trials=0, precision="fp32", augment=3), augment=0
    )


def test_two_runs_make_the_same(tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert harness.quick(tmp_path / name, "--augment", "1").status == 0
    assert harness.outcomes(tmp_path / "one") == harness.outcomes(tmp_path / "other")
