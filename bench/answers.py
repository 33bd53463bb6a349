"""Answers that are texts, compared as SQuAD's official scripts do (Rajpurkar et al. 2016, 2018)."""

from __future__ import annotations

import functools
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def text_column(values: Iterable[Any]) -> NDArray[Any]:
    """A column of texts, or of the right ones of each example, whatever their number."""
    import numpy as np

    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    for place, value in enumerate(listed):
        column[place] = value
    return column


@functools.lru_cache(maxsize=1 << 16)
def plain_answer(text: str) -> str:
    """An answer as SQuAD's official scripts compare it.

    In lower case, without punctuation and articles, with single blanks between its words.
    """
    letters = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", letters).split())


def exact_match(given: str, right: Sequence[str]) -> float:
    """Whether an answer is a right one; where there is none, whether it is empty."""
    return float(plain_answer(given) in map(plain_answer, right or ("",)))


def token_f1(given: str, right: Sequence[str]) -> float:
    """The best F1 of an answer's words and a right one's; where there is none, as exact match."""
    if not right:
        return exact_match(given, right)
    words = Counter(plain_answer(given).split())
    return max(_overlap_f1(words, Counter(plain_answer(one).split())) for one in right)


def _overlap_f1(given: Counter[str], right: Counter[str]) -> float:
    same = (given & right).total()
    return 2 * same / (given.total() + right.total()) if same else 0.0
