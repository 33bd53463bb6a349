"""A small context for tests of cells and studies."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies import TRIALS

from bench import registry
from bench.data.prepare import Prepared, prepare
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path
from bench.protocol import Protocol
from bench.runs.cells.context import Context


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(
        registry.task("demo-sentiment"), Source(), name="demo-sentiment",
        encoder=demo_encoder_path(), cap_at=160, cache=tmp_path_factory.mktemp("data"),
    )  # fmt: skip


@pytest.fixture
def context(tmp_path: Path, prepared: Prepared) -> Context:
    protocol = Protocol(epochs=1, trials=TRIALS, precision="fp32", max_train_samples=160)
    return Context(
        runs=tmp_path, protocol=protocol, encoder=demo_encoder_path(), weights="demo",
        tasks={"demo-sentiment": prepared}, device="cpu", threads=1,
    )  # fmt: skip
