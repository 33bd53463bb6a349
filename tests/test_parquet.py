"""Parquet files that somebody may have sent: the same table, and no more of it than is allowed."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.errors import BenchError
from bench.inputs import Limits
from bench.parquet import BATCH, read_parquet, read_table, write_parquet


def test_a_table_is_what_it_was(tmp_path) -> None:
    table = pa.table({
        "id": ["a", "b", None, "a"],
        "label": [1, 0, 1, 1],
        "part": pa.array(["x", "x", "y", "y"]).dictionary_encode(),
        "logits": pa.array([[1.0, 2.0], [3.0], None, []], pa.list_(pa.float32())),
        "nothing": pa.nulls(4),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    found = read_table(tmp_path / "a.parquet", Limits())
    assert found.to_pydict() == table.to_pydict()
    assert found.column_names == table.column_names
    assert found["id"].type == pa.string()
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", Limits()).num_rows == 0


def test_a_long_table_is_read_in_parts(tmp_path) -> None:
    table = pa.table({"n": range(2 * BATCH + 1), "t": ["text"] * (2 * BATCH + 1)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", Limits()).equals(table)


def test_parts_of_a_file_are_one_table(tmp_path) -> None:
    texts = pa.array([["a", "b"], [], ["a"], ["c"] * 9], pa.list_(pa.string()))
    table = pa.table({"id": ["w", "x", "y", "x"], "right": texts})
    for rows in (1, 3, 4):  # of each row group
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=rows)
        assert read_table(tmp_path / "a.parquet", Limits()).equals(table)


def test_a_flipped_bit_is_seen_before_a_bounded_table_is_read(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, pa.table({"n": [1, 2, 3]}))
    assert read_parquet(path, "make it anew", limits=Limits())["n"].to_pylist() == [1, 2, 3]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BenchError, match="does not match its checksum: make it anew"):
        read_parquet(path, "make it anew", limits=Limits())


def test_what_is_too_much_or_endless_is_said_with_its_remedy(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), ["a" * 1_000_000])
    pq.write_table(pa.table({"t": text}), path, compression="zstd")
    assert path.stat().st_size < 1_000
    with pytest.raises(BenchError, match=r"more than 1,000,000,000 bytes of data\): make it anew"):
        read_parquet(path, "make it anew", sealed=False, limits=Limits(option=""))
    many = pa.array([[0.0] * 1_000_000] * 130, pa.list_(pa.float32()))
    pq.write_table(pa.table({"l": many}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(BenchError, match="more than 1,000,000,000 bytes"):
        read_parquet(path, "make it anew", sealed=False, limits=Limits(option=""))
    path.unlink()
    path.symlink_to("/dev/zero")
    for sealed in (True, False):
        with pytest.raises(BenchError, match="make it anew"):
            read_parquet(path, "make it anew", sealed=sealed)
