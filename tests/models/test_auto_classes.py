"""Cut models and transformers' Auto classes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tiny_models import tiny_classifier

import bench

HEADS = ([0, 2], [])


NEURONS = (list(range(0, 40, 3)), [5])


@pytest.mark.parametrize(
    "imports",
    [
        "import bench; from transformers import AutoModelForSequenceClassification as auto",
        "from transformers import AutoModelForSequenceClassification as auto; import bench",
        "import bench; from transformers import AutoConfig, "
        "AutoModelForSequenceClassification as auto",
        "import bench.runs.cells.execute; "
        "from transformers import AutoModelForSequenceClassification as auto",
    ],
)
def test_importing_bench_is_enough_to_load_a_cut_model(tmp_path, imports: str) -> None:
    cut = bench.cut(tiny_classifier("bert"), HEADS, NEURONS)
    cut.save_pretrained(tmp_path)
    code = f"{imports}; print(type(auto.from_pretrained({str(tmp_path)!r})).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "CutBertForSequenceClassification", done.stderr
