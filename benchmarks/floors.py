"""What the two floors score, and what they take, on real tasks.

    python benchmarks/floors.py ENCODER GLUE_DIR stsb cola …

Printed for each task and floor: what was chosen, the figures on the report rows, and seconds of one
core.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench import registry
from bench.data.prepare import load, prepare
from bench.data.task import Source
from bench.machine import limited_threads
from bench.protocol import Protocol
from bench.results.record import ENCODER_FLOOR, TEXT_FLOOR
from bench.runs.cells.context import Context
from bench.runs.cells.floor import answers_of_floor
from bench.training import scoring
from bench.training.evaluate import answers_of

ENCODER, GLUE, *TASKS = sys.argv[1:]
PROTOCOL = Protocol(epochs=1, trials=0, precision="fp32")

with tempfile.TemporaryDirectory() as folder, limited_threads(1):
    runs, encoder = Path(folder), Path(ENCODER)
    for name in TASKS:
        task = registry.task(name)
        prepared = prepare(
            task, Source(data_dir=Path(GLUE)), name=name, encoder=encoder, cap_at=None,
            cache=runs / "data", length=PROTOCOL.sequence_length,
        )  # fmt: skip
        context = Context(
            runs=runs, protocol=PROTOCOL, encoder=encoder, weights="encoder",
            tasks={name: prepared}, device="cpu", threads=1,
        )  # fmt: skip
        rows = load(prepared).report
        for floor in (TEXT_FLOOR, ENCODER_FLOOR):
            begin = time.process_time()
            kept = answers_of_floor(floor, name, context, trial=False)
            took = time.process_time() - begin
            answers = answers_of(kept.logits, is_regression=task.is_regression)
            found = scoring.score(task.info.metric, answers, rows.labels, rows.parts)
            chosen = ", ".join(f"{key} {value}" for key, value in kept.chosen.items())
            figures = ", ".join(f"{key} {value:.1f}" for key, value in found.figures.items())
            print(f"{name} {floor}: {found.main:.1f} ({figures}); {chosen}; {took:.0f} s")
