"""Records, a suite, studies and a claim with one text in every field that takes one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from example_page import records, suite

from bench.errors import BenchError
from bench.results.layout import SuiteFile
from bench.results.record import Record
from bench.results.studies import PublishedStudy
from bench.schema import check

WORD = "harmless"
"""What every free text of the example says."""

CURVE = {"steps": [1, 2], "loss": [1.0, 0.5], "score": [10.0, 20.0],
         "gain": {"points": 5.0, "half_width": 1.0}}  # fmt: skip

MACHINE = {"processor": WORD, "vector_extensions": [WORD], "threads": 1}

FULL: dict[str, Any] = {
    "method": {"kind": WORD, "control": False, "starts_from": WORD, "teacher": WORD,
               "paper": WORD, "paper_steps": 80_000, "works_from": 500, "version": 2,
               "revised_after": ["cola"]},
    "params": {"learning_rate": 1e-4, "predictor": WORD, WORD: WORD},
    "tuning": {"from": f"{WORD}, cola, 20", "parameters": WORD, "sampler": WORD, "trials": 4,
               "not_tuned": True, "edge": WORD, "found": {WORD: WORD}},
    "reference": {"key": WORD},
    "knowledge": {"text": WORD, "hash": WORD, "rows": 5, "masked": 9, "loss": 2.0,
                  "pretrained": 1.0, "finetuned": 1.5, "floor": 6.0, "refitted": 3.0,
                  "pretrained_refitted": 2.0, "finetuned_refitted": 2.5},
    "latency": {**MACHINE, "engines": {WORD: WORD},
                "rows": [{"model": "given", "engine": WORD, "batch": 1, "seq_len": 12,
                          "gain": 2.0, "median_ms": 1.0, "agrees": True}]},
    "data": {"source": WORD, "revision": WORD, "fingerprint": WORD, "train": 5,
             "train_available": 6, "fit": 4, "tune": 1, "tune_shared": 1, "report": 40,
             "skipped_rows": 0, "median_length": 12, "notes": [WORD], "general_text": WORD,
             "cut_to_fit": {"train": 0, "report": 0, "pieces": 8},
             "overlap": {"rows": 2, "exact": 1, "are": WORD}, "augmentation": {"rows": 3}},
    "environment": {**MACHINE, "python": WORD, "packages": {WORD: WORD}, "device": WORD,
                    "precision": WORD},
    "error": {"type": WORD, "message": WORD, "log": WORD},
}  # fmt: skip
"""All that a record may say beside its cell and its score."""

ENDS = ("ok", "ok", "missed", "failed", "unreachable", "external")
"""How the cells of the method with the chosen name end, by their seeds."""


def texts(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where data says `WORD`: a path each; one that ends in `None` is that of a key."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from texts(value, (*path, key))
            if WORD in str(key):
                yield (*path, key, None)
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from texts(value, (*path, place))
    elif isinstance(data, str) and WORD in data:
        yield path


def replaced(data: Any, path: tuple[Any, ...], text: str) -> Any:
    """The same data with a text for `WORD` at a path."""
    changed = copy.deepcopy(data)
    level = changed
    *way, last = path
    if last is None:
        *way, last = way
    for step in way:
        level = level[step]
    if path[-1] is None:
        items = [(k.replace(WORD, text) if k == last else k, v) for k, v in level.items()]
        level.clear()
        level.update(items)
    else:
        level[last] = level[last].replace(WORD, text)
    return changed


def everywhere(data: dict[str, Any], kind: Any, text: str) -> tuple[dict[str, Any], int]:
    """The data with a text wherever its kind takes it, and at how many places."""
    places = 0
    for path in sorted(texts(data), key=lambda p: p[-1] is None):  # keys last: they are ways
        changed = replaced(data, path, text)
        try:
            kind(changed)
        except BenchError:
            continue
        data, places = changed, places + 1
    return data, places


def example(*, carried: bool) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """A suite, its records and its studies, as plain data."""
    found = [record.to_json() for record in records()]
    blank = next(r for r in found if r["cell"]["method"] == "magnitude")
    for seed, status in enumerate(ENDS):
        for task in ("cola", "wnli"):
            cell = {**blank["cell"], "method": WORD, "task": task, "seed": seed}
            scored = status in ("ok", "missed", "external")
            scores = {"score": 40.0, "scores": {"matthews": 40.0}}
            known = scores if scored else {"score": None, "scores": {}}
            full = copy.deepcopy(FULL)
            if not carried:
                full["tuning"] = {**full["tuning"], "parameters": "default"}
                del full["tuning"]["from"]
            if status == "missed":
                full["footprint"] = {
                    axis: {"dense": 100, "actual": 10, "ratio": 10.0} for axis in blank["footprint"]
                }
            found.append({**blank, **full, "cell": cell, "status": status,
                          "id": f"x-{task}-{seed}", **known})  # fmt: skip
    for record in found[:3]:
        record["curve"] = CURVE
        record["knowledge"] = FULL["knowledge"]
        record["environment"] = {**FULL["environment"], "device": "cpu", "processor": "one"}
    claim = {"better": "magnitude", "worse": [WORD], "tasks": ["cola"], "ratio": 20.0, "by": 0.0,
             "seeds": [0, 1], "versions": {WORD: 1}, "sentence": WORD, "written": WORD}  # fmt: skip
    study = {
        "id": "s1", "cell": {**blank["cell"], "method": WORD}, "complete": True, "sampler": WORD,
        "rates": [[1e-5, 1e-3]], "edge": WORD, "floor": 5.0, "not_tuned": True, "best": 0,
        "trials": [{"params": {"learning_rate": 1e-4, WORD: WORD}, "score": 50.0, "ratio": 20.0,
                    "curve": CURVE},
                   {"params": {"learning_rate": 1e-3}, "error": WORD}],
    }  # fmt: skip
    asked = suite(
        [Record.from_json(record) for record in found],
        model=WORD, weights=WORD, protocol=WORD, commands=[WORD], data={"cola": WORD},
        claims=[claim], versions={WORD: 1}, studies={"s1": WORD},
    )  # fmt: skip
    asked["settings"] = {**asked["settings"], "precision": WORD, "trials": 4, "augment": 3,
                         "version": 2}  # fmt: skip
    return asked, found, [study]


def with_text(
    text: str, *, carried: bool = True
) -> tuple[dict[str, Any], list[Record], list[dict[str, Any]]]:
    """The example with a text in every field that takes it."""
    asked, found, studies = example(carried=carried)
    asked, many = everywhere(asked, lambda data: check(data, SuiteFile), text)
    assert many > 12
    made = [everywhere(record, Record.from_json, text) for record in found]
    assert max(places for _, places in made) > 35
    tried = [everywhere(study, lambda d: check(d, PublishedStudy), text) for study in studies]
    assert min(places for _, places in tried) > 5
    return (
        asked,
        [Record.from_json(record) for record, _ in made],
        [study for study, _ in tried],
    )
