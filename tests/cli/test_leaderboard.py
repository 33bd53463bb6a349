"""`bench leaderboard`."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import bench, quick
from refusals import assert_refused

pytestmark = pytest.mark.usefixtures("empty_place")


def test_a_page_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert quick(tmp_path / "runs", methods="majority").status == 0
    Path("file").touch()
    assert_refused(
        bench("leaderboard", "--runs", tmp_path / "runs", "--out", "file"), "file cannot be"
    )
