"""Small files in the layouts of the published challenge sets, and of our own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HANS_HEAD = ("gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse",
             "sentence2_parse", "sentence1", "sentence2", "pairID", "heuristic", "subcase",
             "template")  # fmt: skip
HANS = [
    ("entailment", "The actor saw the judge .", "The actor saw .", "subsequence"),
    ("non-entailment", "The actor saw the judge .", "The judge saw the actor .", "lexical_overlap"),
    ("non-entailment", "If it rains the dog ran .", "The dog ran .", "constituent"),
    ("entailment", "The actor and the judge ran .", "The judge ran .", "lexical_overlap"),
]
DIAGNOSTIC_HEAD = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge",
                   "Domain", "Premise", "Hypothesis", "Label")  # fmt: skip
DIAGNOSTIC = [
    ("", "", "Negation", "", "Artificial", "The cat sat.", "The cat did not sit.", "contradiction"),
    ("Factivity;Quantifiers", "", "Negation;Universal", "", "News", "All of them knew it rained.",
     "It rained.", "entailment"),
    ("", "", "", "World knowledge", "News", "He was born in Rome.", "He was born in Italy.",
     "entailment"),
    ("Quantifiers", "Datives", "", "", "News", "Some gave it to him.", "All gave it to him.",
     "neutral"),
]  # fmt: skip
ADVGLUE = {
    "sst2": [{"idx": 0, "sentence": "a uneven treat", "label": 1},
             {"idx": 1, "sentence": "it borws fun", "label": 0}],
    "qqp": [{"idx": 0, "question1": "why eat ?", "question2": "why dine ?", "label": 1},
            {"idx": 1, "question1": "why eat ?", "question2": "why sleep ?", "label": 0}],
    "mnli": [{"idx": 0, "premise": "it rains", "hypothesis": "it is wet", "label": 0},
             {"idx": 1, "premise": "it rains", "hypothesis": "it is dry", "label": 2}],
    "mnli-mm": [{"idx": 0, "premise": "he won", "hypothesis": "he played", "label": 1}],
    "qnli": [{"idx": 0, "question": "who won ?", "sentence": "he did", "label": 0}],
    "rte": [{"idx": 0, "sentence1": "it rains hard", "sentence2": "it rains", "label": 0},
            {"idx": 1, "sentence1": "it rains hard", "sentence2": "it snows", "label": 1}],
}  # fmt: skip
PAWS = [("1", "from Rome to Paris", "from Paris to Rome", "0"),
        ("2", "he flew to Rome today", "today he flew to Rome", "1")]  # fmt: skip


def write_challenges(folder: Path) -> Path:
    """Every published set in a folder, as its authors lay it out."""
    rows = [[label, "( )", "( )", "(ROOT)", "(ROOT)", one, other, f"ex{n}", heuristic, "s", "t"]
            for n, (label, one, other, heuristic) in enumerate(HANS)]  # fmt: skip
    tsv(folder / "hans/heuristics_evaluation_set.txt", HANS_HEAD, rows)
    tsv(folder / "diagnostic/diagnostic-full.tsv", DIAGNOSTIC_HEAD, DIAGNOSTIC)
    tsv(folder / "paws/test.tsv", ("id", "sentence1", "sentence2", "label"), PAWS)
    (folder / "advglue").mkdir()
    (folder / "advglue/dev.json").write_text(json.dumps(ADVGLUE))
    return folder


def tsv(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table without quotes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in [head, *rows]))


def parquet(path: Path, **columns: Any) -> Path:
    """A table of the hub's, or of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path
