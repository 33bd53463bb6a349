"""The hub's data stay those that a folder was begun with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import registry
from bench.data.prepare import load, prepare
from bench.data.revisions import pin, pinned
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path

NEWEST, OLDER = "b" * 40, "a" * 40


@pytest.fixture
def hub_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hub's cache, with a way to say which commit is the newest."""
    repository = tmp_path / "hub" / "datasets--nyu-mll--glue"
    for commit, text in ((NEWEST, "new"), (OLDER, "old")):
        folder = repository / "snapshots" / commit / "sst2"
        folder.mkdir(parents=True)
        for split in ("train", "validation"):
            rows = {"sentence": [f"{text} {split} {n}" for n in range(20)], "label": [0, 1] * 10}
            pq.write_table(pa.table(rows), folder / f"{split}-00000-of-00001.parquet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def newest(commit: str) -> None:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit)

    newest(OLDER)
    return newest


def revision(folder: Path, **source: Any) -> str:
    prepared = prepare(
        registry.task("sst2"), Source(offline=True, **source), name="sst2",
        encoder=demo_encoder_path(), cap_at=None, cache=folder,
    )  # fmt: skip
    assert len(load(prepared).report) == 20
    return str(prepared.facts["revision"])


def test_what_a_folder_found_once_it_keeps(hub_copy: Any, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert revision(folder) == OLDER
    hub_copy(NEWEST)
    assert revision(folder) == OLDER
    assert revision(tmp_path / "other") == NEWEST
    assert revision(folder, revision=NEWEST) == NEWEST  # said, and kept from then on
    assert revision(folder) == NEWEST


def test_data_of_a_folder_have_no_revision(tmp_path: Path) -> None:
    pin({"source": "folder"}, "sst2", tmp_path)
    assert not list(tmp_path.iterdir())
    pin({"revision": OLDER}, "sst2", tmp_path)
    assert pinned(Source(), "sst2", tmp_path).revision == OLDER
    assert pinned(Source(data_dir=tmp_path), "sst2", tmp_path).revision is None
    (tmp_path / "revisions.json").write_text("[]")  # damaged: as if it were not there
    assert pinned(Source(), "sst2", tmp_path).revision is None
