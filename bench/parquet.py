"""Parquet files: ours, with their checksums, and others', which may become more than they look.

A text that comes a million times lies in a file once, and pages are compressed without bounds. So a
footer is looked at first; then columns are read as dictionaries, batch by batch, and the extent of
their texts is known before these are repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.checksums import is_as_written
from bench.errors import BenchError, first_line
from bench.files import atomic_path
from bench.inputs import check_regular, read_bytes

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch, Table
    from pyarrow.parquet import ParquetFile

    from bench.inputs import Limits

BATCH = 1 << 18
"""Rows that are taken apart at once."""


def read_parquet(
    path: Path,
    remedy: str,
    *,
    sealed: bool = True,
    limits: Limits | None = None,
    columns: list[str] | None = None,
) -> Table:
    """Reads a Parquet file of ours, whose folder keeps a checksum of it if it is `sealed`.

    Args:
        path: The file.
        remedy: What mends it, as a clause.
        sealed: Whether its folder keeps a checksum of it.
        limits: How much it may hold, if somebody else may have sent it.
        columns: With limits, those that are wanted, as far as there are any.

    Raises:
        BenchError: It is damaged; the message says what mends it.
    """
    from pyarrow import ArrowException, BufferReader, parquet

    try:
        data = None if limits is None else read_bytes(path, limits)
        if sealed and path.exists() and not is_as_written(path, data):
            raise BenchError(f"{path} does not match its checksum: {remedy}.")
        if limits is not None:
            return read_table(BufferReader(data), limits, columns)
        check_regular(path)
        # Of a small file, to ask for threads and to look for a data set takes longer than to read.
        return parquet.ParquetFile(path).read(use_threads=False)
    except (ArrowException, OSError, ValueError) as error:
        reason = first_line(error).rstrip(".")
        raise BenchError(f"{path} cannot be read ({reason}): {remedy}.") from None


def write_parquet(path: Path, table: Table, *, sealed: bool = True) -> None:
    """Writes a Parquet file of ours, whole or not at all."""
    from pyarrow import parquet, types

    # Logits do not recur: a dictionary of them would take half as much again. Texts do.
    lists = [one for one in table.schema if types.is_list(one.type)]
    numbers = [
        f"{one.name}.list.element" for one in lists if not types.is_string(one.type.value_type)
    ]
    texts = [f"{one.name}.list.element" for one in lists if types.is_string(one.type.value_type)]
    plain = [one.name for one in table.schema if one not in lists]
    with atomic_path(path, sealed=sealed) as temporary:
        parquet.write_table(
            table,
            temporary,
            compression="zstd",
            use_dictionary=[*plain, *texts],
            use_byte_stream_split=numbers,
        )


def open_bounded(
    source: Any, limits: Limits, wanted: Collection[str] | None = None
) -> tuple[ParquetFile, list[str]]:
    """Opens a file if its footer promises no more than is allowed.

    Args:
        source: A path or a file that can be sought in.
        limits: How much its columns may hold.
        wanted: The columns that count, which must not hold others; all where nothing is said.

    Returns:
        The file, and the names of the columns that `batches` can read of those wanted.

    Raises:
        ValueError: There is more, or it is no Parquet file.
    """
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(source)
        leaves = [footer.schema.column(place) for place in range(footer.num_columns)]
        plain = [
            leaf.path
            for leaf in leaves
            if (wanted is None or leaf.path in wanted)  # of a nested one, it has several parts
            and (leaf.physical_type != "FIXED_LEN_BYTE_ARRAY" or leaf.logical_type.type != "NONE")
        ]
        file = pq.ParquetFile(source, metadata=footer, read_dictionary=plain)
    except OSError as error:  # what Arrow raises for broken contents, too
        raise ValueError(error) from None
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    parts = [group.column(place) for group in groups for place in range(footer.num_columns)]
    size = sum(
        # A list may hold one number a million times, which no count of rows would bound.
        max(part.total_uncompressed_size, 8 * part.num_values * ("." in part.path_in_schema))
        for part in parts
        if part.path_in_schema in plain
    )
    if wrong := limits.objection(size=size, rows=footer.num_rows):
        raise ValueError(wrong)
    return file, plain


def batches(
    file: ParquetFile, limits: Limits, columns: list[str] | None = None
) -> Iterator[tuple[int, dict[str, Array]]]:
    """The columns of a file, some rows at a time, by name, with their number.

    Raises:
        ValueError: There is more than is allowed, whatever the footer said.
    """
    rows = size = 0
    for batch in _parts(file, columns):
        extents = [_extent(column) for column in batch.columns]
        rows += len(batch)
        size += sum(extent[0] for extent in extents)
        longest = max((extent[1] for extent in extents), default=0)
        if wrong := limits.objection(size=size, rows=rows, characters=longest):
            raise ValueError(wrong)
        yield (
            len(batch),
            {
                name: _decoded(column)
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            },
        )


def _parts(file: ParquetFile, columns: list[str] | None) -> Iterator[RecordBatch]:
    """The rows of a file, `BATCH` of them at most at a time.

    Each of the file's parts has dictionaries of its own, which Arrow does not join inside lists.
    """
    for part in range(file.num_row_groups):
        # To wait for threads, or to set up batches, takes longer than to read what most files hold.
        if file.metadata.row_group(part).num_rows <= BATCH:
            yield from file.read_row_group(part, columns, use_threads=False).to_batches()
        else:
            yield from file.iter_batches(BATCH, [part], columns, use_threads=False)


def read_table(source: Any, limits: Limits, columns: list[str] | None = None) -> Table:
    """A whole file, or some of its columns, as far as it has them.

    Raises:
        ValueError: There is more than is allowed, or it is no Parquet file.
    """
    import pyarrow as pa

    file, _ = open_bounded(source, limits)
    parts = [pa.table(part) for _, part in batches(file, limits, columns)]
    if not parts:
        return file.schema_arrow.empty_table()
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts)


def _extent(column: Array) -> tuple[int, int]:
    """How many bytes the values of a column are in all, and the longest text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_list(column.type):
        inner = _extent(column.flatten())
        return column.nbytes + inner[0], inner[1]
    if pa.types.is_struct(column.type):
        inside = [_extent(part) for part in column.flatten()]
        return sum(extent[0] for extent in inside), max(extent[1] for extent in inside)
    if not pa.types.is_dictionary(column.type):
        return column.nbytes, 0
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return pc.sum(lengths).as_py() or 0, pc.max(lengths).as_py() or 0


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _decoded(column: Array) -> Array:
    """A column, or lists of texts, without dictionaries."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if not _is_list(column.type) or not pa.types.is_dictionary(column.type.value_type):
        return column
    return type(column).from_arrays(
        column.offsets, column.values.dictionary_decode(), mask=column.is_null()
    )
