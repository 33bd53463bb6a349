"""Questions and contexts in windows, against plain loops over characters."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from squad_files import write_squad
from tiny_encoders import save_bert, save_roberta

from bench.data.encoded import Encoded
from bench.data.prepare import load, prepare
from bench.data.spans import NOWHERE
from bench.data.task import Source
from bench.data.tasks.squad import Squad2
from bench.data.windows import QUESTION, encode_windows, overlap_of
from bench.errors import BenchError
from bench.models.checkpoint import load_tokenizer

LIMIT = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source(data_dir=write_squad(tmp_path_factory.mktemp("squad"), 10, 3, length=6))


@pytest.fixture(scope="module", params=[save_bert, save_roberta])
def encoder(tmp_path_factory: pytest.TempPathFactory, request) -> Path:
    return request.param(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def windows(data: Source, encoder: Path) -> Encoded:
    return encode_windows([Squad2().load(data).train], encoder, LIMIT)[0]


def texts_of(rows: Encoded, window: int) -> tuple[list[tuple[int, int]], str]:
    """Where a window's pieces lie in its context, and the context."""
    assert rows.spans is not None
    pieces = slice(*rows.offsets[window : window + 2])
    places = zip(rows.spans.begins[pieces].tolist(), rows.spans.ends[pieces].tolist(), strict=True)
    return list(places), rows.spans.contexts[rows.spans.examples[window]]


def test_windows_fit_and_cover_each_context_with_an_overlap(
    windows: Encoded, encoder: Path
) -> None:
    assert windows.spans is not None
    assert windows.lengths.max() <= LIMIT
    tokenizer = load_tokenizer(encoder)
    for example, context in enumerate(windows.spans.contexts):
        own = np.flatnonzero(windows.spans.examples == example)
        shown = [[place for place in texts_of(windows, w)[0] if place[0] != NOWHERE] for w in own]
        whole = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
        wanted = [tuple(place) for place in whole["offset_mapping"]]
        assert list(dict.fromkeys(place for some in shown for place in some)) == wanted
        for one, following in itertools.pairwise(shown):
            assert one[-overlap_of(LIMIT) :] == following[: overlap_of(LIMIT)]


def test_a_label_is_the_answer_wherever_a_window_has_all_of_it(windows: Encoded) -> None:
    assert windows.spans is not None
    labelled = 0
    for window in range(len(windows)):
        places, context = texts_of(windows, window)
        right = windows.spans.answers[windows.spans.examples[window]]
        first, last = windows.labels[window]
        begin = context.index(f"{right[0]} ") if right else None  # no colour comes in other words
        seen = [place for place in places if place[0] != NOWHERE]
        whole = right and any(b <= begin < e for b, e in seen) and any(
            b < begin + len(right[0]) <= e for b, e in seen)  # fmt: skip
        if right and context.count(right[0]) == 1:
            assert bool(first) == bool(whole)
        if first:
            labelled += 1
            assert context[places[first][0] : places[last][1]] == right[0]
        else:
            assert (first, last) == (0, 0)
    assert labelled


def test_windows_survive_saving_and_selection(windows: Encoded, tmp_path: Path) -> None:
    windows.save(tmp_path / "x.parquet")
    back = Encoded.load(tmp_path / "x.parquet")
    some = back.select([5, 1, 9])
    for rows, numbers in ((back, range(len(windows))), (some, [5, 1, 9])):
        assert rows.spans is not None
        assert windows.spans is not None
        for place, number in enumerate(numbers):
            assert texts_of(rows, place) == texts_of(windows, number)
            np.testing.assert_array_equal(rows.labels[place], windows.labels[number])
            ours, theirs = rows.spans.examples[place], windows.spans.examples[number]
            assert rows.spans.ids[ours] == windows.spans.ids[theirs]
            assert rows.spans.answers[ours] == windows.spans.answers[theirs]
    assert some.asked == sorted(set(some.ids))


def test_a_long_question_loses_its_end(encoder: Path, data: Source) -> None:
    rows = Squad2().load(data).train.select(range(2))
    long = rows.remove_columns("text").add_column("text", ["river " * 100, " river "])
    found = encode_windows([long], encoder, 128)[0]
    assert found.cut == 1
    asked = found.lengths - [
        sum(place[0] != NOWHERE for place in texts_of(found, w)[0]) for w in range(len(found))
    ]
    assert asked[found.ids.index("0-0-0")] >= min(QUESTION, 60)


def test_tune_takes_whole_paragraphs_and_the_facts_say_what_was_made(
    data: Source, encoder: Path, tmp_path: Path
) -> None:
    prepared = prepare(
        Squad2(), data, name="squad2", encoder=encoder, cap_at=None, cache=tmp_path, length=LIMIT
    )
    rows = load(prepared)
    assert rows.tune.spans is not None
    assert rows.fit.spans is not None
    assert not set(rows.tune.spans.contexts) & set(rows.fit.spans.contexts)
    facts = prepared.facts
    assert facts["tune"] == len(rows.tune.asked)
    assert facts["fit"] == len(rows.fit.asked)
    assert facts["train"] == 70
    assert facts["no_answer"] == 10
    assert facts["windows"] == {
        "train": len(rows.train), "report": len(rows.report), "overlap": LIMIT // 3
    }  # fmt: skip
    assert facts["report"] == len(rows.report.references) == 21
    assert len(rows.fit) + len(rows.tune) == len(rows.train)


def test_words_are_not_replaced_where_answers_are_words(
    data: Source, encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match="--augment would replace"):
        prepare(Squad2(), data, name="squad2", encoder=encoder, cap_at=None, cache=tmp_path,
                augmenter=object())  # type: ignore[arg-type]  # fmt: skip
