"""The result of a cell: what it lacks, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from example_record import RECORD

from bench.errors import BenchError
from bench.results.record import Record


def test_a_record_names_what_it_lacks() -> None:
    with pytest.raises(BenchError, match="cell, id"):
        Record.from_json({"schema": 1, "status": "ok"})
    with pytest.raises(BenchError, match=r"cell\.ratio, cell\.seed"):
        cell = {"method": "dense", "task": "cola", "axis": "weights"}
        Record.from_json({"schema": 1, "id": "abc", "status": "ok", "cell": cell})


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
        ({"status": "fine"}, "no valid status"),
        ({"score": None}, "no valid score"),
        ({"score": "71"}, "no valid score"),
        ({"footprint": {"weights": {"ratio": 1.0}}}, "no valid footprint"),
        ({"footprint": []}, "no valid footprint"),
        ({"cost": []}, "no valid cost"),
        ({"cost": {"train_flops": "much"}}, r"no valid cost\.train_flops"),
        ({"data": {"train": 9}}, r"no valid data\.train_available, data\.report"),
        ({"environment": {"python": 3}}, r"no valid environment\.python"),
        (
            {"footprint": {key: {"ratio": "4"} for key in ("weights", "params", "flops")}},
            "no valid footprint",
        ),
        ({"cell": "dense"}, "no valid cell"),
        ({"cell": None}, "no valid cell"),
        ({"score": True}, "no valid score"),
        ({"cost": {"train_flops": 1, "parts": []}}, r"no valid cost\.parts"),
        ({"cost": {"train_flops": 1, "parts": {"tuning": "x"}}}, r"no valid cost\.parts"),
        ({"knowledge": {"loss": "x"}}, r"no valid knowledge\.text"),
        ({"latency": {"rows": [{}]}}, r"latency\.rows"),
        ({"latency": {"rows": 3}}, r"latency\.rows"),
        ({"latency": []}, "no valid latency"),
        ({"curve": {"steps": 3}}, r"no valid curve\.steps, curve\.loss"),
        ({"error": "x"}, "no valid error"),
    ],
)
def test_a_record_names_what_is_wrong_with_it(changes: dict[str, Any], said: str) -> None:
    assert Record.from_json(RECORD.to_json()) == RECORD
    with pytest.raises(BenchError, match=said):
        Record.from_json(RECORD.to_json() | changes)
