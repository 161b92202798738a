"""Read Parquet: a file, or a folder of files, of which each has its own types.

What stands in the first file decides nothing for the others: a column may be empty there, hold whole numbers where the
next file holds fractions, or come only later. Each value keeps the type that its own file gave it.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from trimtab.data.check import require_columns
from trimtab.declare import ContractSpec

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_HIDDEN = ("_", ".")
"""How names begin of what holds no rows: _SUCCESS, .part-0.crc."""


class _File(NamedTuple):
    """All names of a file, also those that are said by its folders, and its promised columns, each under its name."""

    names: list[str]
    columns: dict[str, pa.ChunkedArray]
    rows: int


def read_parquet(path: Path, contract: ContractSpec) -> pa.Table:
    """Return the promised columns of a file, or of the files of a folder; the others are columns of nulls.

    A column that some file of a folder does not have is missing in its rows. Folders such as ``origin=JFK`` are columns
    of texts. Raises ``MissingColumn``, and what opening a file raises.
    """
    promised = [field.name for field in contract.fields]
    if path.is_dir():
        files = [_part(path, name, promised) for name in _names_of_files(path)]
    else:
        files = [_read(path, promised)]
    names: list[str] = []
    for one in files:
        names += (Counter(one.names) - Counter(names)).elements()
    rows = sum(one.rows for one in files)
    if rows:
        require_columns(contract, names)
    columns = [
        _joined([one.columns.get(name, _nulls(one.rows)) for one in files]) if name in promised else _nulls(rows)
        for name in names
    ]
    return pa.Table.from_arrays(columns, names=names)


def parquet_in(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """Return the table in the bytes of a Parquet file, or some of its columns.

    No other thread takes part: one of Arrow's that still holds what belongs to Python aborts a process that ends.
    """
    return parquet.read_table(pa.BufferReader(data), columns=columns, use_threads=False, pre_buffer=False)


def _read(path: Path, promised: list[str]) -> _File:
    # Spark, Athena and Impala write times as INT96; nanoseconds, which Arrow would choose, end in the year 2262.
    with parquet.ParquetFile(path, memory_map=True, coerce_int96_timestamp_unit="us") as file:
        names = file.schema_arrow.names
        wanted = [name for name in promised if name in names]
        table = file.read(columns=wanted)
        return _File(names, {name: table[name] for name in wanted if names.count(name) == 1}, file.metadata.num_rows)


def _names_of_files(folder: Path) -> list[str]:
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return [name for name in names if not any(part.startswith(_HIDDEN) for part in name.split("/"))]


def _part(folder: Path, name: str, promised: list[str]) -> _File:
    """Read one file of a folder. What the folders on its way say counts more than a column of the same name."""
    try:
        file = _read(folder / name, promised)
    except (pa.ArrowException, OSError) as error:
        raise pa.ArrowInvalid(f"{name}: {error}") from None
    said = dict(part.split("=", 1) for part in name.split("/")[:-1] if "=" in part)
    texts = {key: None if text == _NO_VALUE else unquote(text) for key, text in said.items()}
    columns = {
        key: pa.chunked_array([pa.repeat(pa.scalar(text, pa.string()), file.rows)]) for key, text in texts.items()
    }
    return _File([*(key for key in file.names if key not in texts), *texts], file.columns | columns, file.rows)


def _joined(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Put columns under each other; those of several types in a union, in which each keeps its own."""
    parts = [part for part in parts if len(part)]
    kinds = list(dict.fromkeys(part.type for part in parts if not pa.types.is_null(part.type)))
    if len(kinds) <= 1:
        return _stacked(parts, kinds[0] if kinds else pa.null())
    own = [kinds.index(part.type) if part.type in kinds else 0 for part in parts]
    codes = np.repeat(np.array(own, np.int8), [len(part) for part in parts])
    children, places = [], np.empty(len(codes), np.int32)
    for code, kind in enumerate(kinds):
        child = _stacked([part for part, its in zip(parts, own, strict=True) if its == code], kind)
        children.append(pa.concat_arrays(child.unify_dictionaries().chunks))
        places[codes == code] = np.arange(len(child))
    return pa.chunked_array([pa.UnionArray.from_dense(pa.array(codes), pa.array(places), children)])


def _stacked(parts: list[pa.ChunkedArray], kind: pa.DataType) -> pa.ChunkedArray:
    """Put columns of one type, or of nulls, under each other."""
    filled = [_nulls(len(part), kind) if pa.types.is_null(part.type) else part for part in parts]
    return pa.chunked_array([chunk for part in filled for chunk in part.chunks], kind)


def _nulls(rows: int, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(rows, kind)])
