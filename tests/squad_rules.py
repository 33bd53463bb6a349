"""The rules of SQuAD's official scripts, written out once more."""

from __future__ import annotations

import collections
import re
import string


def normalized(text: str) -> str:
    """As the script of 2.0 takes an answer apart: lower, punctuation, articles, blanks."""
    exclude = set(string.punctuation)
    text = "".join(ch for ch in text.lower() if ch not in exclude)
    return " ".join(re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text).split())


def official(prediction: str, golds: list[str], version: str) -> tuple[float, float]:
    """Exact match and F1 of one question as `evaluate-v1.1.py` and `evaluate-v2.0.py` have them."""

    def f1(gold: str) -> float:
        gold_toks, pred_toks = normalized(gold).split(), normalized(prediction).split()
        common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
        num_same = sum(common.values())
        if version == "2.0" and (len(gold_toks) == 0 or len(pred_toks) == 0):
            return float(gold_toks == pred_toks)
        if num_same == 0:
            return 0.0
        precision, recall = num_same / len(pred_toks), num_same / len(gold_toks)
        return (2 * precision * recall) / (precision + recall)

    if version == "2.0":
        golds = [gold for gold in golds if normalized(gold)] or [""]
    exact = max(float(normalized(gold) == normalized(prediction)) for gold in golds)
    return exact, max(f1(gold) for gold in golds)
