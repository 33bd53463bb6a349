"""A hub that is not asked: what a download gives, and how it fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def fake_download(monkeypatch: pytest.MonkeyPatch, result: Path | Exception) -> dict[str, Any]:
    """Puts this in the place of every download; fills what it gives with what was asked for."""
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(name=name, **options)
        if isinstance(result, Exception):
            raise result
        return str(result)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return asked


def hub_error(kind: str) -> Exception:
    """One of the hub's own errors, by its name."""
    from huggingface_hub import errors

    if kind == "LocalEntryNotFoundError":
        return errors.LocalEntryNotFoundError("long\nstory")
    response: Any = SimpleNamespace(headers={}, request=None, status_code=404)
    error: Exception = getattr(errors, kind)("404\n\nlong story", response=response)
    return error
