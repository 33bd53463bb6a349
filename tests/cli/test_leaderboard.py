"""`bench leaderboard`."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import bench
from refusals import assert_refused

pytestmark = pytest.mark.usefixtures("empty_place")


def test_a_page_folder_that_cannot_be_written_is_named(finished: Path) -> None:
    Path("file").touch()
    assert_refused(bench("leaderboard", "--runs", finished, "--out", "file"), "file cannot be")
