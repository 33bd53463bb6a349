"""The result of a cell: what it lacks, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from example_record import RECORD

from bench.errors import BenchError
from bench.results.record import Record


def test_a_record_names_what_it_lacks() -> None:
    with pytest.raises(BenchError, match="missing required field `id`"):
        Record.from_json({"schema": 1, "status": "ok"})
    with pytest.raises(BenchError, match=r"^cell: object missing required field `ratio`"):
        cell = {"method": "dense", "task": "cola", "axis": "weights"}
        Record.from_json({"schema": 1, "id": "abc", "status": "ok", "cell": cell})


def test_what_a_later_version_adds_is_kept_and_what_holds_nothing_is_no_fault() -> None:
    said = RECORD.to_json() | {"colour": {"of": "it"}, "data": {}}
    said["cell"] = {**said["cell"], "shade": 3}
    assert Record.from_json(said).to_json() == said


def test_records_of_both_schemas_are_read_and_stay_what_they_are() -> None:
    assert RECORD.schema == 2
    for schema in (1, 2):
        said = RECORD.to_json() | {"schema": schema}
        assert Record.from_json(said).to_json() == said
    for schema in (0, 3, None, "2"):
        with pytest.raises(BenchError, match="not a record of schema 1 or 2"):
            Record.from_json(RECORD.to_json() | {"schema": schema})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "/etc/uv"}, "^id: "),
        ({"id": "../x"}, "^id: "),
        ({"id": "abc\n"}, "^id: "),
        ({"status": "fine"}, "^status: "),
        ({"score": None}, "'ok' without a score"),
        ({"score": "71"}, "^score: expected `float | null`, got `str`"),
        ({"score": True}, "^score: "),
        ({"footprint": {"weights": {"ratio": 1.0}}}, "without a footprint of weights, params"),
        ({"footprint": []}, "^footprint: "),
        ({"footprint": {"weights": {"ratio": "4"}}}, r"^footprint\[\.\.\.\]\.ratio: "),
        ({"cost": []}, "^cost: "),
        ({"cost": {}}, r"without cost\.train_flops"),
        ({"cost": {"train_flops": "much"}}, r"^cost\.train_flops: "),
        ({"cost": {"train_flops": 1, "parts": []}}, r"^cost\.parts: "),
        ({"cost": {"train_flops": 1, "parts": {"tuning": "x"}}}, r"^cost\.parts"),
        ({"data": {"train": 9}}, "^data: object missing required field `train_available`"),
        ({"environment": {"python": 3}}, r"^environment\.python: "),
        ({"cell": "dense"}, "^cell: "),
        ({"cell": None}, "^cell: "),
        ({"cell": {**RECORD.cell, "seed": -1}}, r"^cell\.seed: "),
        ({"cell": {**RECORD.cell, "task": "../x"}}, r"^cell\.task: "),
        ({"knowledge": {"loss": "x"}}, r"^knowledge"),
        ({"latency": {"rows": [{}]}}, r"^latency\.rows\[0\]: "),
        ({"latency": {"rows": 3}}, r"^latency\.rows: "),
        ({"latency": []}, "^latency: "),
        ({"curve": {"steps": 3}}, r"^curve\.steps: "),
        ({"curve": {"steps": [1, 2], "loss": [0.5]}}, "^curve: .*not of one length"),
        ({"error": "x"}, "^error: "),
        ({"params": {"learning_rate": [1]}}, r"^params"),
    ],
)
def test_a_record_names_what_is_wrong_with_it(changes: dict[str, Any], said: str) -> None:
    assert Record.from_json(RECORD.to_json()) == RECORD
    with pytest.raises(BenchError, match=said):
        Record.from_json(RECORD.to_json() | changes)
