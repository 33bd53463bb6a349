"""`bench fetch`."""

from __future__ import annotations

import pytest
from harness import bench

pytestmark = pytest.mark.usefixtures("empty_place")


def test_the_demo_is_not_fetched(no_network) -> None:
    result = bench("fetch", "--tasks", "demo-sentiment", "--model", "demo")
    assert (result.status, result.out.count("not from the hub")) == (0, 2)
