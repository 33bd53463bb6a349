"""A machine without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import hub


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    hub.reachable.cache_clear()
    yield
    hub.reachable.cache_clear()
