"""A record that is whole."""

from __future__ import annotations

from bench.results.record import Record

CELL = {"method": "dense", "task": "cola", "axis": "weights", "ratio": 1.0, "seed": 0}


COUNTED = {axis: {"ratio": 1.0} for axis in ("weights", "params", "flops")}


RECORD = Record(
    id="abc", status="ok", cell=CELL, score=71.25, footprint=COUNTED, cost={"train_flops": 1}
)
