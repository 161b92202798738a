"""The lasting form of a table: a digest of its values, and the Parquet file that holds them.

The digest covers names, types, nulls and values, in order, and nothing of how a file or a memory buffer lays them out;
so the same rows have the same digest whichever version of Parquet's writer keeps them.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from trimtab.kernel import Invalid, canonical, digest_of_bytes

ROW_GROUP = 1 << 17


def content_digest(table: pa.Table) -> str:
    """Return the digest of a table's values. Columns are float64, int64, bool, string or timestamp[us, UTC]."""
    hasher = hashlib.sha256(canonical([[field.name, str(field.type)] for field in table.schema]))
    hasher.update(table.num_rows.to_bytes(8, "little"))
    for column in table.columns:
        array = column.combine_chunks()
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
        hasher.update(np.packbits(np.array(array.is_valid()), bitorder="little").tobytes())
        for part in _values(array):
            hasher.update(part)
    return "sha256:" + hasher.hexdigest()


def _values(array: pa.Array) -> list[Any]:
    """Return the values as bytes, a null as zero or as empty text."""
    if pa.types.is_string(array.type):
        whole = array.fill_null("")
        _, offsets, data = whole.buffers()
        ends = np.frombuffer(offsets, dtype="<i4")[whole.offset : whole.offset + len(whole) + 1]
        text = memoryview(data)[ends[0] : ends[-1]] if data is not None and len(ends) else b""
        return [np.ascontiguousarray(ends - ends[0]) if len(ends) else b"", text]
    if pa.types.is_boolean(array.type):
        return [np.packbits(np.array(array.fill_null(False)), bitorder="little")]
    numbers = array.fill_null(0) if pa.types.is_floating(array.type) else array.cast(pa.int64()).fill_null(0)
    return [np.ascontiguousarray(numbers.to_numpy())]


def to_parquet(table: pa.Table) -> bytes:
    """Write a table as Parquet: always the same settings, and no metadata but the schema."""
    buffer = io.BytesIO()
    # Text that is different in each row (a key) gains nothing from a dictionary and costs the time to fill one.
    repeated = [field.name for field in table.schema if _repeats(table.column(field.name))]
    parquet.write_table(
        table.replace_schema_metadata(None),
        buffer,
        row_group_size=ROW_GROUP,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=1,
        use_dictionary=repeated,
        write_statistics=True,
        store_schema=False,
    )
    return buffer.getvalue()


def rows_of_file(data: bytes, *, digest: str) -> pa.Table:
    """Read such a file from its bytes. Raises ``Invalid`` when they are not those of the digest."""
    if digest_of_bytes(data) != digest:
        raise Invalid(
            "rows came that are not those of their digest",
            where=digest,
            why="They were altered or cut short on the way.",
            next="ask again",
        )
    return parquet.read_table(io.BytesIO(data), use_threads=True)


def from_parquet(path: Path) -> pa.Table:
    """Read such a file."""
    return parquet.read_table(path, memory_map=True, use_threads=True)


def _repeats(column: pa.ChunkedArray) -> bool:
    sample = column.slice(0, 4096)
    return bool(len(sample) < 64 or len(sample.unique()) * 2 < len(sample))
