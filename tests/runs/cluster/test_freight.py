"""Files that travel: laid once, checked by their sums, and never half there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.checksums import damaged_files, seal
from bench.errors import BenchError
from bench.runs.cluster import freight
from bench.runs.cluster.freight import Arrival, Item, items_of, lay, parts_of


@pytest.fixture
def sent(tmp_path: Path) -> list[Item]:
    folder = tmp_path / "sent"
    (folder / "inner").mkdir(parents=True)
    (folder / "one").write_bytes(b"abc" * 1000)
    (folder / "inner" / "empty").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"half")
    seal(folder)
    return list(items_of(folder, "place"))


def parts(item: Item) -> list[np.ndarray]:
    return list(parts_of(Path(item.source)))


def test_what_a_folder_has_is_listed_with_sums_but_nothing_hidden(sent: list[Item]) -> None:
    assert [item.path for item in sent] == ["place/SHA256SUMS", "place/inner/empty", "place/one"]
    assert sent[1].sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [item.size for item in sent[1:]] == [0, 3000]


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_node_has_a_file_from_a_shared_folder_or_as_it_is_sent(
    sent, tmp_path, monkeypatch, is_seen
) -> None:
    monkeypatch.setattr(freight, "PART", 1024)  # three parts
    if not is_seen:
        monkeypatch.setattr(freight, "_taken", lambda target, item: False)
    node = tmp_path / "node"
    asked = lay(node, sent, lambda item: None)
    assert asked == ([] if is_seen else sent)
    assert lay(node, sent, parts) == []
    assert (node / "place" / "one").read_bytes() == b"abc" * 1000
    assert lay(node, sent, pytest.fail) == []  # once


def test_what_was_changed_on_its_way_is_refused(sent, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(freight, "_taken", lambda target, item: False)
    with pytest.raises(BenchError, match="did not arrive"):
        lay(tmp_path / "node", sent, lambda item: [np.frombuffer(b"other", np.uint8)])
    assert not [path for path in (tmp_path / "node" / "place").rglob("*") if path.is_file()]


def test_what_arrives_is_not_seen_before_all_of_it_is_there(sent, tmp_path) -> None:
    runs = tmp_path / "runs"
    arrival = Arrival(runs, sent)
    for item in sent[:-1]:
        for part in parts(item):
            arrival.take(item.path, part)
    with pytest.raises(BenchError, match="place/one did not arrive"):
        arrival.check()
    for part in parts(sent[-1]):
        arrival.take("place/one", part)
    arrival.check()
    assert [path.name for path in runs.iterdir() if not path.name.startswith(".")] == []
    for inner in arrival.under("place"):
        arrival.put(f"place/{inner}", runs / "there" / inner)
    assert (runs / "there" / "one").read_bytes() == b"abc" * 1000
    assert damaged_files(runs / "there") == []
    assert "one" in (runs / "there" / "SHA256SUMS").read_text()
    arrival.close()
    assert [path.name for path in runs.iterdir()] == ["there"]


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out"])
def test_no_file_leads_out_of_the_folder(tmp_path, path) -> None:
    item = Item(path, "0" * 64, 1, str(tmp_path / "none"))
    with pytest.raises(BenchError, match="is no path in"):
        lay(tmp_path / "node", [item], lambda item: None)
    arrival = Arrival(tmp_path / "runs", [item])
    with pytest.raises(BenchError, match="is no path in"):
        arrival.take(path, b"x")
