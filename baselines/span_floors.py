"""Floors where spans are looked for: no answer, or the sentence that is most like the question."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench import Answers, FloorRun

if TYPE_CHECKING:
    from numpy.typing import NDArray

Likeness = Callable[[Sequence[str], Sequence[Sequence[str]]], list[Sequence[float]]]
"""From questions and the sentences of their contexts to how alike each sentence is, row by row."""

NO_ANSWER = "no answer"


def sentences(context: str) -> list[str]:
    """The sentences of a text, each as it stands there; at least one."""
    return re.split(r"(?<=[.!?])\s+", context.strip())


def shared_words(words: Callable[[str], list[str]]) -> Likeness:
    """How many words of a question a sentence has; `words` takes texts apart."""

    def likeness(
        questions: Sequence[str], contexts: Sequence[Sequence[str]]
    ) -> list[Sequence[float]]:
        return [
            [len(set(words(question)) & set(words(sentence))) for sentence in context]
            for question, context in zip(questions, contexts, strict=True)
        ]

    return likeness


def cosine(states: Callable[[Sequence[str]], NDArray[Any]]) -> Likeness:
    """The cosine of a question's state and a sentence's; `states` makes them of texts."""

    def likeness(
        questions: Sequence[str], contexts: Sequence[Sequence[str]]
    ) -> list[Sequence[float]]:
        import numpy as np

        texts = dict.fromkeys([*questions, *(one for context in contexts for one in context)])
        known = states(list(texts))
        known = known / np.linalg.norm(known, axis=1, keepdims=True).clip(min=1e-9)
        place = {text: number for number, text in enumerate(texts)}
        return [
            (known[[place[one] for one in context]] @ known[place[question]]).tolist()
            for question, context in zip(questions, contexts, strict=True)
        ]

    return likeness


def answer_spans(
    run: FloorRun,
    train: NDArray[Any],
    labels: NDArray[Any],
    name: str,
    learnt: Likeness,
    asked: Likeness,
) -> Answers:
    """The best sentence of each context, or none at all if that does better on training rows.

    Args:
        run: The run.
        train: Questions and contexts to choose by, `[rows, 2]`.
        labels: Their right texts, `[rows]`.
        name: What the likeness is of.
        learnt: How alike the sentences of training rows are.
        asked: The same of the rows that are asked.
    """
    import numpy as np

    def best(pairs: Sequence[Any], likeness: Likeness) -> NDArray[Any]:
        split = [sentences(context) for _, context in pairs]
        found = likeness([question for question, _ in pairs], split)
        return np.array(
            [context[int(np.argmax(alike))] for context, alike in zip(split, found, strict=True)],
            dtype=object,
        )

    nothing = np.full(len(train), "", dtype=object)
    tried = {
        name: run.score(best(list(train), learnt), labels),
        NO_ANSWER: run.score(nothing, labels),
    }
    chosen = max(tried, key=lambda one: tried[one])
    texts = best(run.asked, asked) if chosen == name else np.full(len(run.asked), "", dtype=object)
    facts = {"predictor": chosen, "rows": len(train), "on_training_rows": round(tried[chosen], 4)}
    return Answers(None, facts, texts)
