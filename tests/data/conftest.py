"""Encoders that propose words."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_encoders import save_bert

from bench.data.augmentation import Augmenter
from bench.data.tasks.demo import demo_encoder_path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def demo() -> Augmenter:
    return Augmenter(demo_encoder_path(), 4, weights="demo")
