"""From a selection to cells."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.runs.cells.cell import Cell, Variant
from bench.runs.plan import Selection, plan, shard

DENSE, MAGNITUDE = Variant("dense"), Variant("magnitude", (("scope", "global"),))
SELECTION = Selection(
    variants={DENSE: True, MAGNITUDE: False},
    tasks=["cola", "rte"],
    ratios=[4.0, 20.0],
    seeds=[0, 1, 2],
    axis="flops",
    model="bert",
)


def test_a_plan_has_one_cell_for_each_combination_references_once_and_first() -> None:
    cells = plan(SELECTION, "hash")
    assert len(cells) == len(set(cells)) == 2 * 3 + 2 * 2 * 3
    references = [cell for cell in cells if cell.method == "dense"]
    assert references == cells[:6]
    assert {(cell.ratio, cell.axis) for cell in references} == {(1.0, "weights")}
    assert {cell.axis for cell in cells[6:]} == {"flops"}


def test_an_early_stop_leaves_whole_comparisons() -> None:
    variants = {Variant(name): False for name in ("a", "b", "c")}
    cells = plan(dataclasses.replace(SELECTION, variants=variants), "hash")
    assert {cell.method for cell in cells[:3]} == {"a", "b", "c"}
    assert len({(cell.task, cell.ratio, cell.seed) for cell in cells[:3]}) == 1


def test_shards_divide_a_plan() -> None:
    cells = plan(SELECTION, "hash")
    parts = [shard(cells, i, 4) for i in (1, 2, 3, 4)]
    assert sorted(itertools.chain(*parts), key=cells.index) == cells
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_id_depends_on_everything_but_the_models_name() -> None:
    cell = Cell("magnitude", "cola", "weights", 20.0, 0, "bert", "hash")
    key = {"version": 1, "data": "d", "weights": "w"}
    changed = [
        dataclasses.replace(cell, **{name: value}).id(**key)
        for name, value in {
            "method": "movement", "task": "rte", "axis": "flops", "ratio": 19.0, "seed": 1,
            "protocol": "other",
        }.items()
    ]  # fmt: skip
    changed += [cell.id(**{**key, name: 2}) for name in key]
    assert len({cell.id(**key), *changed}) == len(changed) + 1
    assert dataclasses.replace(cell, model="moved").id(**key) == cell.id(**key)


def test_a_variant_reads_and_writes_its_pins_in_one_order() -> None:
    variant = Variant.parse("magnitude:scope=global:final_phase=0.2")
    assert str(variant) == "magnitude:final_phase=0.2:scope=global"
    assert Variant.parse(str(variant)) == variant


@pytest.mark.parametrize("text", ["m:", "m:x", "m:=1", "m:x=", "m:x=1:x=2"])
def test_a_malformed_variant_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="m:"):
        Variant.parse(text)


def test_a_hundred_thousand_cells_are_planned_without_torch_in_little_memory() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process's peak memory")
    code = """
import sys
from pathlib import Path
from bench.runs.cells.cell import Variant
from bench.runs.plan import Selection, plan
cells = plan(Selection(variants={Variant(f"m{i}"): False for i in range(100)},
             tasks=[f"t{i}" for i in range(20)], ratios=range(2, 12), seeds=range(5)), "h")
assert len(cells) == 100_000 and "torch" not in sys.modules
status = Path("/proc/self/status").read_text().split()
assert int(status[status.index("VmHWM:") + 1]) < 500_000
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
