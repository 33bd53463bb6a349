"""Models of our own and transformers' Auto classes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tiny_models import masked_classifier, tiny_classifier

import bench

AUTO = "from transformers import AutoModelForSequenceClassification as auto"
IMPORTS = [
    f"import bench; {AUTO}",
    f"{AUTO}; import bench",
    "import bench; from transformers import AutoConfig, AutoModelForSequenceClassification as auto",
    f"import bench.runs.cells.execute; {AUTO}",
]
FORK = """
import accelerate, torch.distributed.tensor, json, os, sys
assert not {"bench", "transformers"} & set(sys.modules)
for imports in json.loads(sys.argv[3]):
    if not os.fork():
        try:
            exec(imports)
            print(*(type(auto.from_pretrained(f)).__name__ for f in sys.argv[1:3]), flush=True)
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(0)
    os.wait()
"""
"""Each order of imports in a process of its own, which has what takes longest: torch."""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By order of imports, the classes as which a cut model and one with masks are read."""
    folder, other = tmp_path_factory.mktemp("cut"), tmp_path_factory.mktemp("mask")
    heads, neurons = ([0, 2], []), (list(range(0, 40, 3)), [5])
    bench.cut(tiny_classifier("bert"), heads, neurons).save_pretrained(folder)
    masked_classifier("distilbert").save_pretrained(other)
    command = [sys.executable, "-c", FORK, folder, other, json.dumps(IMPORTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(IMPORTS, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("imports", IMPORTS)
def test_importing_bench_is_enough_to_load_a_model_of_ours(answers, imports: str) -> None:
    known = ("CutBertForSequenceClassification", "MaskDistilBertForSequenceClassification")
    assert answers[imports] == " ".join(known)
