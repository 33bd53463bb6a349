"""The one public face."""

from __future__ import annotations

import pytest

import bench


def test_what_is_exported_is_what_there_is() -> None:
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    assert set(bench._HOME) <= set(bench.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        bench.nothing_of_the_kind  # noqa: B018
