"""What is asked of the network, and what is said without it; nothing here uses it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_hub import fake_download, hub_error

from bench import hub
from bench.errors import BenchError


@pytest.fixture(autouse=True)
def forget():
    hub.reachable.cache_clear()
    yield
    hub.reachable.cache_clear()


def answer(monkeypatch: pytest.MonkeyPatch, head: Any) -> None:
    monkeypatch.setattr("huggingface_hub.get_session", lambda: SimpleNamespace(head=head))


@pytest.mark.parametrize(("status", "expected"), [(200, True), (404, True), (503, False)])
def test_reachable_asks_the_endpoint_once(monkeypatch, status, expected) -> None:
    asked = []

    def head(url: str, timeout: float) -> SimpleNamespace:
        asked.append((url, timeout))
        return SimpleNamespace(status_code=status)

    answer(monkeypatch, head)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://mirror.test")
    assert (hub.reachable(), hub.reachable()) == (expected, expected)
    assert asked == [("http://mirror.test", 3.0)]


def test_unreachable_when_it_fails_or_hangs(monkeypatch) -> None:
    def fail(url: str, timeout: float) -> None:
        raise ConnectionError("no route")

    answer(monkeypatch, fail)
    assert not hub.reachable()
    release = threading.Event()
    answer(monkeypatch, lambda url, timeout: release.wait(5))
    assert not hub.reachable(0.05)
    release.set()


def test_go_offline_reaches_imported_libraries_and_children(monkeypatch) -> None:
    import datasets.config
    import huggingface_hub

    for module, names in hub._SWITCHES.items():
        for name in names:
            monkeypatch.setenv(name, "0")
            monkeypatch.setattr(f"{module}.{name}", False)
    assert not huggingface_hub.is_offline_mode()
    hub.go_offline()
    assert huggingface_hub.is_offline_mode()
    assert datasets.config.HF_HUB_OFFLINE
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["HF_DATASETS_OFFLINE"] == "1"


def snapshot(**changes: Any) -> Path:
    options = {"files": ("a*",), "revision": "v1", "remedy": "Fetch it.", **changes}
    return hub.snapshot("org/name", "dataset", **options)


@pytest.mark.parametrize("online", [True, False])
def test_snapshot_asks_for_what_it_was_told(monkeypatch, tmp_path, online) -> None:
    asked = fake_download(monkeypatch, tmp_path)
    monkeypatch.setattr(hub, "reachable", lambda: online)
    assert snapshot() == tmp_path
    assert asked == {
        "name": "org/name",
        "repo_type": "dataset",
        "revision": "v1",
        "allow_patterns": ["a*"],
        "local_files_only": not online,
    }


@pytest.mark.parametrize(
    ("error", "offline", "message"),
    [
        ("LocalEntryNotFoundError", True, "org/name at revision v1 is not in the cache, and this"),
        ("RepositoryNotFoundError", False, "the hub has no dataset 'org/name'"),
        ("RevisionNotFoundError", False, "org/name has no revision 'v1'"),
        (OSError("No space left on device\nmore"), False, "cannot fetch .*: No space left on dev"),
    ],
)
def test_snapshot_fails_with_one_line(monkeypatch, error, offline, message) -> None:
    answer(monkeypatch, lambda url, timeout: SimpleNamespace(status_code=200))
    fake_download(monkeypatch, hub_error(error) if isinstance(error, str) else error)
    with pytest.raises(BenchError, match=message) as caught:
        snapshot(offline=offline)
    assert "\n" not in str(caught.value)


def test_no_network_names_the_endpoint_and_the_remedy(monkeypatch) -> None:
    def fail(url: str, timeout: float) -> None:
        raise ConnectionError

    answer(monkeypatch, fail)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://mirror.test")
    fake_download(monkeypatch, hub_error("LocalEntryNotFoundError"))
    with pytest.raises(BenchError, match=r"http://mirror.test cannot be reached\. Fetch it\."):
        snapshot()
