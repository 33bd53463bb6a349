"""Tokenised rows: on the disk, and some of them."""

from __future__ import annotations

from pathlib import Path

from tiny_tasks import Pairs

from bench.data.encoded import Encoded
from bench.data.prepare import encode
from bench.data.task import Source
from bench.data.tasks.demo import demo_encoder_path

ENCODER = demo_encoder_path()


def test_rows_survive_the_disk(tmp_path: Path) -> None:
    (before,) = encode([Pairs().load(Source()).dev], ENCODER, 64, is_regression=True)
    before.save(tmp_path / "rows.parquet")
    after = Encoded.load(tmp_path / "rows.parquet")
    assert (after.ids, after.parts, after.cut) == (before.ids, before.parts, before.cut)
    for name in ("pieces", "segments", "offsets", "labels"):
        old, new = getattr(before, name), getattr(after, name)
        assert old.dtype == new.dtype
        assert (old == new).all()


def test_selected_rows_are_those_rows() -> None:
    (data,) = encode([Pairs().load(Source()).dev], ENCODER, 64, is_regression=True)
    chosen = data.select([7, 0, 3])
    assert chosen.ids == ["d7", "d0", "d3"]
    for new, old in enumerate((7, 0, 3)):
        assert (
            chosen.pieces[chosen.offsets[new] : chosen.offsets[new + 1]].tolist()
            == data.pieces[data.offsets[old] : data.offsets[old + 1]].tolist()
        )
