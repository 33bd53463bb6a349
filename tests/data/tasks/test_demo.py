from __future__ import annotations

import math
import subprocess
import sys
import zlib
from collections import Counter
from typing import Any

import pytest

from bench.data.task import Source, Task
from bench.data.tasks import demo

TASKS: list[type[Task]] = [demo.Sentiment, demo.Paraphrase, demo.Similarity]
ROWS = {
    "demo-sentiment": 1800110919,
    "demo-paraphrase": 501157203,
    "demo-similarity": 2677911167,
}
"""Checksums: where one changes, raise `demo.VERSION`."""


def texts(rows: Any) -> list[tuple[str, ...]]:
    columns = [c for c in ("text", "text_pair") if c in rows.column_names]
    return list(zip(*(rows[c] for c in columns), strict=True))


def checksum(splits: Any) -> int:
    rows = [*splits.train.to_list(), *splits.dev.to_list()]
    return zlib.crc32("\n".join(str(sorted(row.items())) for row in rows).encode())


@pytest.mark.parametrize("cls", TASKS)
def test_rows_are_well_formed_balanced_and_disjoint(cls: type[Task]) -> None:
    task, splits = cls(), cls().load(Source())
    assert task.info.group == "demo"
    assert len(splits.train) == demo.TRAIN_ROWS and len(splits.dev) == demo.DEV_ROWS
    assert not set(texts(splits.train)) & set(texts(splits.dev))
    for rows in (splits.train, splits.dev):
        pair = {"text_pair"} if cls is not demo.Sentiment else set()
        assert set(rows.column_names) == {"id", "text", "label"} | pair
        assert len(set(rows["id"])) == len(set(texts(rows))) == len(rows)
        assert rows.features["label"].dtype == ("float64" if task.is_regression else "int64")
        counts = Counter(rows["label"])
        assert set(counts) == set(range(5 if task.is_regression else task.num_labels))
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("cls", TASKS)
def test_rows_are_always_the_same(cls: type[Task]) -> None:
    assert checksum(cls().load(Source())) == checksum(cls().load(Source())) == ROWS[cls.info.name]


def test_a_paraphrase_keeps_every_slot_and_a_swap_keeps_the_words() -> None:
    rows = demo.Paraphrase().load(Source()).train
    concept_of = {word: c for slot in demo.SLOTS for c in slot for word in c}
    swaps = 0
    for (first, second), label in zip(texts(rows), rows["label"], strict=True):
        one, two = ([concept_of[w] for w in t.split() if w != "the"] for t in (first, second))
        assert (one == two) == bool(label)
        swaps += not label and sorted(one) == sorted(two)
    assert 0.2 < swaps / len(rows) < 0.3


def test_a_similarity_counts_the_slots() -> None:
    rows = demo.Similarity().load(Source()).train
    concept_of = {word: c for slot in demo.SLOTS for c in slot for word in c}
    for (first, second), label in zip(texts(rows), rows["label"], strict=True):
        one, two = ([concept_of[w] for w in t.split() if w != "the"] for t in (first, second))
        assert sum(a == b for a, b in zip(one, two, strict=True)) == label


@pytest.mark.parametrize("cls", TASKS)
def test_a_bag_of_words_does_not_answer(cls: type[Task]) -> None:
    from scipy.stats import pearsonr
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge

    splits = cls().load(Source())
    # The two texts of a pair have words of their own, as a linear model could not tell them apart.
    joined = [
        [" ".join(f"{i}{w}" for i, t in enumerate(row) for w in t.split()) for row in texts(rows)]
        for rows in (splits.train, splits.dev)
    ]
    counter = CountVectorizer()
    train, dev = counter.fit_transform(joined[0]), counter.transform(joined[1])
    if cls().is_regression:
        guess = Ridge(10.0).fit(train, splits.train["label"]).predict(dev)
        assert abs(pearsonr(guess, splits.dev["label"])[0]) < 0.4
    else:
        model = LogisticRegression(C=0.3, max_iter=1000).fit(train, splits.train["label"])
        assert model.score(dev, splits.dev["label"]) < 0.65


def test_text_is_reproducible_and_held_out() -> None:
    assert demo.corpus(50, seed=3) == demo.corpus(50, seed=3) != demo.corpus(50, seed=4)
    assert demo.probe_text(20) == demo.probe_text(40)[:20]
    assert not set(demo.probe_text(200)) & set(demo.corpus(5000))


def test_the_encoder_is_small_and_knows_every_word() -> None:
    from transformers import AutoTokenizer

    folder = demo.demo_encoder_path()
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [text for cls in TASKS for row in texts(cls().load(Source()).train) for text in row]
    used = {word for text in [*rows, *demo.corpus(5000)] for word in text.split()}
    assert used == set(demo.words())
    assert tokenizer.tokenize(" ".join(demo.words())) == demo.words()


def test_the_encoder_has_learnt_the_grammar() -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from bench.data.tasks.pretrain_demo import held_out_loss

    folder = demo.demo_encoder_path()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder)
    counts = Counter(word for text in demo.corpus(2000) for word in text.split())
    for word in demo.FRAME:  # hardly ever asked for
        del counts[word]
    total = counts.total()
    entropy = -sum(n / total * math.log(n / total) for n in counts.values())
    assert held_out_loss(model, tokenizer) < entropy - 2


def test_the_module_imports_nothing_heavy() -> None:
    loaded = "{'torch', 'datasets'} & set(sys.modules)"
    code = f"import sys, bench.data.tasks.demo; sys.exit(bool({loaded}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_encoder_can_be_rebuilt(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from bench.data.tasks.pretrain_demo import main

    main([str(tmp_path), "--steps", "20"])
    assert "held-out" in capsys.readouterr().out
    model = AutoModelForMaskedLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    inputs = tokenizer("the soup was [MASK]", return_tensors="pt")
    assert model(**inputs).logits.shape[-1] == len(tokenizer) == len(demo.words()) + 5
    shipped = AutoTokenizer.from_pretrained(demo.demo_encoder_path())
    assert tokenizer.get_vocab() == shipped.get_vocab()
