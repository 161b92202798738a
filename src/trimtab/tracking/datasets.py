"""The digest of the data that a run uses: of its values, whatever frame, matrix or type of column holds them.

What no type of Arrow holds (values of several types, lists, intervals, complex numbers) counts by the texts of its
values, so that any data can be linked and a change of any value is other data.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data import content_digest
from trimtab.tracking.errors import BadName
from trimtab.tracking.names import fit_text
from trimtab.tracking.texts import json_of

_NO_COLUMN = (pa.ArrowException, TypeError, ValueError, OverflowError, ArithmeticError)
"""What Arrow raises for values that no one type of it holds."""


def digest_of_frame(frame: Any) -> tuple[str, int]:
    """Return the digest of a frame's or matrix's values, and how many rows it has; raise ``BadName`` for anything else.

    The same values have the same digest in pandas, Polars and Arrow.
    """
    try:
        columns = list(_columns(frame))
    except Exception as error:  # noqa: BLE001  what other people's objects raise
        raise BadName(
            f"a {type(frame).__name__} is no dataset: {' '.join(str(error).split())[:160]}",
            where="log_dataset",
            why="A dataset is a snapshot, a digest, a frame or a matrix.",
            next="give one of these",
        ) from None
    table = pa.Table.from_arrays([column for _, column in columns], names=[name for name, _ in columns])
    # Of a sparse matrix only the cells are columns.
    rows = frame.shape[0] if hasattr(frame, "tocoo") else table.num_rows
    return content_digest(table), int(rows)


def _columns(frame: Any) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield the columns by their names, each in one of the few types that digests know."""
    if hasattr(frame, "iloc"):  # pandas
        frame = frame if hasattr(frame, "columns") else frame.to_frame("x0" if frame.name is None else frame.name)
        yield from ((str(name), _column(frame.iloc[:, n])) for n, name in enumerate(frame.columns))
    elif hasattr(frame, "tocoo"):
        yield from _cells(frame)
    elif hasattr(frame, "to_arrow") or hasattr(frame, "collect"):  # Polars
        frame = frame.collect() if hasattr(frame, "collect") else frame
        frame = frame if hasattr(frame, "iter_columns") else frame.to_frame(frame.name or "x0")
        yield from ((column.name, _column(column)) for column in frame.iter_columns())
    elif isinstance(frame, dict) or hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        table = pa.table(frame)
        yield from ((name, _plain(column)) for name, column in zip(table.column_names, table.columns, strict=True))
    elif isinstance(frame, np.ndarray | list | tuple) or hasattr(frame, "__array__"):
        yield from _matrix(np.asanyarray(frame))
    else:
        raise TypeError("it has neither columns nor cells")


def _matrix(matrix: np.ndarray) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield x0, x1, ... of a matrix, x0_0, x0_1, ... of one of more dimensions, the fields of one that has names."""
    if matrix.dtype.names is not None:
        yield from ((name, _column(matrix[name])) for name in matrix.dtype.names)
        return
    matrix = matrix[:, None] if matrix.ndim == 1 else np.asarray(matrix) if isinstance(matrix, np.matrix) else matrix
    for place in np.ndindex(matrix.shape[1:]):
        yield "x" + "_".join(map(str, place)), _column(matrix[(slice(None), *place)])


def _cells(matrix: Any) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield the cells of a sparse matrix that are not zero, row by row."""
    rows = matrix.tocsr(copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    cells = rows.tocoo()
    yield "row", _column(cells.row.astype(np.int64))
    yield "column", _column(cells.col.astype(np.int64))
    yield f"value of {' x '.join(map(str, matrix.shape))}", _column(cells.data)


def _column(values: Any) -> pa.ChunkedArray:
    """Return the values of a column of pandas, Polars or NumPy."""
    try:
        if isinstance(values, np.ma.MaskedArray):
            mask = np.ascontiguousarray(np.ma.getmaskarray(values))
            return _plain(pa.array(np.ascontiguousarray(values.data), mask=mask))
        if isinstance(values, np.ndarray):
            return _plain(pa.array(np.ascontiguousarray(values)))
        if hasattr(values, "to_arrow"):  # of which Arrow would get the addresses of objects in memory
            return _texts(values.to_list()) if str(values.dtype) == "Object" else _plain(values.to_arrow())
        found = pa.array(np.asarray(values) if hasattr(values, "sparse") else values, from_pandas=True)
        return _texts(values) if isinstance(found.type, pa.ExtensionType) else _plain(found)
    except _NO_COLUMN:
        return _texts(values)


def _plain(given: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """Return a column in one of the few types that digests know."""
    column = given if isinstance(given, pa.ChunkedArray) else pa.chunked_array([given])
    kind = column.type
    if pc.all(pc.is_null(column, nan_is_null=True), min_count=0).as_py():  # then the type says nothing
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_uint64(kind) and (pc.max(column).as_py() or 0) >= 2**63:  # which fits no int64
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_floating(kind):
        numbers = pc.add(column.cast(pa.float64()), 0.0)  # -0.0 and 0.0 are one value
        return pc.if_else(pc.is_nan(numbers), None, numbers)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return _times(column)
    try:
        return _plain(column.cast(kind.value_type)) if pa.types.is_dictionary(kind) else column.cast(pa.string())
    except pa.ArrowException:  # lists, structures, bytes that are no UTF-8
        return _texts(column.to_pylist())


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return moments (those of a zone in UTC) and days in microseconds, and times of the day as texts."""
    try:
        if pa.types.is_time(column.type):
            return column.cast(pa.time64("us")).cast(pa.string())
        return column.cast(pa.timestamp("us", tz="UTC" if getattr(column.type, "tz", None) else None))
    except pa.ArrowException:  # parts of a microsecond, or farther away than these reach
        return column.cast(pa.string())


def _texts(values: Iterable[Any]) -> pa.ChunkedArray:
    """Return values by their texts in JSON, a text as it is; what says that there is no value is null."""
    found = (fit_text(value) if type(value) is str else json_of(value).text for value in values)
    return pa.chunked_array([pa.array([None if text in ("null", '"nan"') else text for text in found], pa.string())])


def _decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return decimals as floats of the same digits, else as whole numbers, else as texts."""
    found = column.to_pylist()
    known = [value for value in found if value is not None]
    plain: list[Any]
    if all(Decimal(repr(float(value))) == value for value in known):
        plain, kind = [None if value is None else float(value) for value in found], pa.float64()
    elif all(value == int(value) and -(2**63) <= value < 2**63 for value in known):
        plain, kind = [None if value is None else int(value) for value in found], pa.int64()
    else:
        texts = [None if value is None else f"{value:f}" for value in found]
        plain = [text.rstrip("0").rstrip(".") if text and "." in text else text for text in texts]
        kind = pa.string()
    return pa.chunked_array([pa.array(plain, kind)])
