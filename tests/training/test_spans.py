"""The best span, and the threshold of no answer, against plain loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from planted import answers
from squad_files import write_squad
from tiny_encoders import save_bert

from bench.answers import text_column
from bench.data.spans import NOWHERE
from bench.data.task import Source
from bench.data.tasks.squad import Squad2
from bench.data.windows import encode_windows
from bench.models.checkpoint import load_model
from bench.training.scoring import score
from bench.training.spans import (
    ALWAYS,
    LONGEST,
    Marked,
    choose_threshold,
    mark,
    threshold_of,
    threshold_said,
)

if TYPE_CHECKING:
    from bench.data.encoded import Encoded


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory):
    """A model that has learnt nothing, and windows of two lengths."""
    folder = tmp_path_factory.mktemp("case")
    encoder = save_bert(folder / "encoder")
    data = Source(data_dir=write_squad(folder / "data", 4, 3, length=8))
    (rows,) = encode_windows([Squad2().load(data).dev], encoder, 24)
    torch.manual_seed(0)
    return load_model(encoder, ("begin", "end"), 0.0, spans=True, fresh_head=True), rows


def by_loops(model, rows: Encoded) -> tuple[list[str], list[float]]:
    """Each window by itself, without padding, and each pair of pieces."""
    assert rows.spans is not None
    best = {}
    nothing: dict[int, float] = {}
    for window in range(len(rows)):
        pieces = slice(*rows.offsets[window : window + 2])
        with torch.no_grad():
            out = model(
                input_ids=torch.tensor(rows.pieces[pieces]).long()[None],
                token_type_ids=torch.tensor(rows.segments[pieces]).long()[None],
            )
        begins, ends = out.start_logits[0].tolist(), out.end_logits[0].tolist()
        example = int(rows.spans.examples[window])
        context = rows.spans.contexts[example]
        places = list(zip(rows.spans.begins[pieces], rows.spans.ends[pieces], strict=True))
        for first in range(len(places)):
            for last in range(first, min(len(places), first + LONGEST)):
                if NOWHERE not in (places[first][0], places[last][0]):
                    text = context[places[first][0] : places[last][1]]
                    found = (begins[first] + ends[last], text)
                    best[example] = max(best.get(example, found), found, key=lambda one: one[0])
        nothing[example] = min(nothing.get(example, np.inf), begins[0] + ends[0])
    order = sorted(best)
    return [best[one][1] for one in order], [nothing[one] - best[one][0] for one in order]


def test_the_best_span_is_that_of_every_window_and_pair(case) -> None:
    model, rows = case
    assert len(set(rows.lengths.tolist())) > 1
    texts, margins = by_loops(model, rows)
    found = mark(model, rows, "cpu")
    assert found.texts.tolist() == texts
    np.testing.assert_allclose(found.margins, margins, atol=1e-5)


def test_no_answer_needs_a_margin_above_the_threshold() -> None:
    found = Marked(text_column(["a", "b", "c"]), np.array([-1.0, 0.5, 2.0]))
    assert found.answers(0.5).tolist() == ["a", "b", ""]
    assert found.answers(-2.0).tolist() == ["", "", ""]
    assert found.answers(ALWAYS).tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_best_that_there_is(seed: int) -> None:
    texts, right = answers("squad", 60)
    margins = np.random.default_rng(seed).normal(size=60).round(1)  # with ties
    marked = Marked(texts, margins)
    chosen = choose_threshold(marked, "squad", right)
    grid = [*np.arange(-5, 5, 0.05) + 0.01]
    worth = {t: score("squad", marked.answers(t), right).main for t in grid}
    assert score("squad", marked.answers(chosen), right).main == pytest.approx(max(worth.values()))
    best = [abs(t) for t, value in worth.items() if value > max(worth.values()) - 1e-9]
    assert abs(chosen) <= min(best) + 0.051


def test_zero_is_taken_where_it_is_as_good_as_any() -> None:
    right = text_column([("one",), ()])
    marked = Marked(text_column(["one", "two"]), np.array([-3.0, 1.0]))
    assert choose_threshold(marked, "squad", right) == 0.0
    both = Marked(text_column(["one", "two"]), np.array([2.0, 4.0]))
    assert choose_threshold(both, "squad", right) == 3.0


def test_every_question_is_answered_where_each_has_an_answer() -> None:
    marked = Marked(text_column(["a", "b"]), np.array([3.0, 9.0]))
    threshold = choose_threshold(marked, "squad", text_column([("x",), ("b",)]))
    assert threshold == ALWAYS
    assert threshold_said(threshold) is None
    assert threshold_of({"no_answer": 0}, None) == threshold_of({}, 1.0) == ALWAYS
    assert threshold_of({"no_answer": 3}, None) == 0.0
    assert threshold_of({"no_answer": 3}, -1.5) == -1.5
