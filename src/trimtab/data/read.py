"""Get a source's rows as an Arrow table: call its function, read its file, or run its query on DuckDB.

pandas, Polars and Arrow frames are taken as they are; columns that the contract does not name are left out and
reported.
"""

import inspect
import json
import traceback
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, ipc, parquet

from trimtab.data.check import require_columns
from trimtab.data.conform import place
from trimtab.data.errors import (
    EmptySource,
    MissingColumn,
    MixedTimeZones,
    NotAFrame,
    SourceFailed,
    SourceMissing,
    WrongType,
)
from trimtab.declare import ContractSpec, FieldKind, SourceSpec

_EXTRA = b"trimtab.extra_columns"
_SERIES = ("pandas", "polars")
"""Libraries whose frames are known by their columns; what else of them streams as Arrow is a single column."""
_NOT_ONE_TYPE = (
    pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError, TypeError,
)  # fmt: skip
"""What Arrow raises for a column of objects that no one type holds: 2**70 is among them, and a Decimal that is NaN."""
_TEXTS = (FieldKind.KEY, FieldKind.CATEGORY, FieldKind.TEXT)


def _read_csv(path: Path, contract: ContractSpec) -> pa.Table:
    """Read a CSV file: promised texts as they stand there, so that 007 stays 007; an empty cell is missing."""
    texts = [field.name for field in contract.fields if field.kind in _TEXTS and field.value_type == "text"]
    options = csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string()))
    table = csv.read_csv(path, convert_options=options)
    for name in texts:
        if table.column_names.count(name) == 1:
            column = table.column(name)
            given = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            table = table.set_column(table.column_names.index(name), name, given)
    return table


def _read_ipc(path: Path, _contract: ContractSpec) -> pa.Table:
    return ipc.open_file(path).read_all()


_READERS: dict[str, Callable[[Path, ContractSpec], pa.Table]] = {
    ".parquet": lambda path, _contract: parquet.read_table(path),
    ".csv": _read_csv,
    ".gz": _read_csv,
    ".arrow": _read_ipc,
    ".feather": _read_ipc,
}


def read_source(source: SourceSpec, namespace: Mapping[str, Any], *, folder: Path | None = None) -> pa.Table:
    """Return the source's rows: the contract's columns, in its order, in the order of the rows.

    ``namespace`` is the user's module as a mapping, in which the function is looked up. A relative path, also one
    inside a query, starts at ``folder``, or else at that of the module's ``__file__``. Types are those that the source
    gave; ``check`` brings them to the promised ones. ``extra_columns_of`` tells what was left out. Raises
    ``SourceFailed``, ``SourceMissing``, ``NotAFrame``, ``EmptySource`` or ``MissingColumn``.
    """
    where = source.where or f"source {source.name}"
    folder = folder or Path(str(namespace.get("__file__") or "project.py")).resolve().parent
    if source.function is not None:
        table = to_arrow(_call(source, namespace, where=where), source.contract, where=where, source=source.name)
    elif source.path is not None:
        table = _read_file(source, folder / source.path, where=where)
    else:
        table = _query(source, folder, where=where)
    if table.num_rows == 0:
        raise EmptySource(f"source {source.name} gave no rows", where=where)
    extra = require_columns(source.contract, table.column_names)
    table = table.select([field.name for field in source.contract.fields])
    return table.replace_schema_metadata({_EXTRA: json.dumps(extra).encode()})


def extra_columns_of(table: pa.Table) -> tuple[str, ...]:
    """Return the columns that ``read_source`` left out, because the contract does not name them."""
    return tuple(json.loads((table.schema.metadata or {}).get(_EXTRA, b"[]")))


def to_arrow(frame: Any, contract: ContractSpec, *, where: str, source: str = "") -> pa.Table:
    """Return the contract's columns of a pandas, Polars or Arrow frame, and the names of the others as empty columns.

    Only promised columns are converted, so a column that nobody asked for cannot fail.
    """
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pa.RecordBatchReader):
        return frame.read_all()
    library = type(frame).__module__.partition(".")[0]
    if library == "polars" and (hasattr(frame, "collect") or hasattr(frame, "height")):
        return _from_polars(frame, contract, where=where, source=source)
    if library == "pandas" and hasattr(frame, "columns"):
        return _from_pandas(frame, contract, where=where)
    if hasattr(frame, "__arrow_c_stream__") and not hasattr(frame, "__arrow_c_array__") and library not in _SERIES:
        return pa.table(frame)
    given = "None" if frame is None else f"a {type(frame).__name__}"
    raise NotAFrame(f"source {source} returned {given}, not a table", where=where, source=source)


def _call(source: SourceSpec, namespace: Mapping[str, Any], *, where: str) -> Any:
    function = namespace.get(source.function or "")
    if not callable(function):
        raise SourceMissing(
            f"there is no function {source.function} for source {source.name}",
            where=where,
            why="The file that declares the source does not hold a function of this name at its top level.",
            next=f"define {source.function} in the project's file",
        )
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise SourceFailed(
            f"source {source.name} raised {type(error).__name__}: {first_line(error)}",
            where=_line_of(error, function, namespace) or where,
            why="The function of a source must return its rows.",
            next=f"call {source.function}() in a Python shell, and correct it",
        ) from error


def first_line(error: BaseException) -> str:
    """Return what an error of the user's code or of a library says, on one line and not endless."""
    return next(iter(str(error).strip().splitlines()), "")[:300].rstrip(".") or "no message"


def _line_of(error: BaseException, function: Any, namespace: Mapping[str, Any]) -> str | None:
    """Return the line of the user's own file from which an error came, however deep in a library it was raised."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = {namespace.get("__file__"), code.co_filename if code else None}
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
    return f"{Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else None


def _read_file(source: SourceSpec, path: Path, *, where: str) -> pa.Table:
    read = _READERS.get(path.suffix.lower())
    if read is None or (path.suffix == ".gz" and not path.name.endswith(".csv.gz")):
        raise SourceFailed(
            f"source {source.name} names {source.path}, which is no known kind of file",
            where=where,
            why="Trimtab reads .parquet, .csv, .csv.gz, .arrow and .feather.",
            next="convert the file, or return its frame from a function",
        )
    try:
        return read(path, source.contract)
    except FileNotFoundError:
        raise SourceMissing(
            f"source {source.name} names {source.path}, which does not exist",
            where=where,
            why="A relative path starts at the folder of the project's file.",
            next=f"put the file at {source.path}, or correct the path",
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceFailed(
            f"{source.path} of source {source.name} cannot be read",
            where=where,
            why=f"The reader says: {first_line(error).replace(str(path), path.name)}.",
            next="check that the file is complete and of the kind that its name says",
        ) from error


def _query(source: SourceSpec, folder: Path, *, where: str) -> pa.Table:
    with duckdb.connect() as connection:
        # Python variables of this process are no part of a query's meaning; files beside the project are.
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET file_search_path = ?", [str(folder)])
        try:
            relation = connection.sql(source.sql or "")
            if relation is not None:
                return relation.to_arrow_table()
        except duckdb.Error as error:
            raise SourceFailed(
                f"the query of source {source.name} failed",
                where=where,
                why=f"DuckDB says: {str(error).splitlines()[0][:300]}.",
                next="run the query with duckdb, and correct it",
            ) from error
    raise EmptySource(f"the query of source {source.name} selects nothing", where=where)


def _from_polars(frame: Any, contract: ContractSpec, *, where: str, source: str) -> pa.Table:
    try:
        whole = frame.collect() if hasattr(frame, "collect") else frame
    except Exception as error:  # a lazy frame is the user's code that has not run yet
        raise SourceFailed(
            f"the lazy frame of source {source} raised {type(error).__name__}: {first_line(error)}",
            where=where,
            why="A lazy frame is collected when its source is read.",
            next=f"call {source}().collect() in a Python shell, and correct it",
        ) from error
    promised = {field.name for field in contract.fields}
    arrays = [
        _from_one(whole.select(name), contract, name, where=where) if name in promised else pa.nulls(whole.height)
        for name in whole.columns
    ]
    return pa.Table.from_arrays(arrays, names=list(whole.columns))


def _from_one(frame: Any, contract: ContractSpec, name: str, *, where: str) -> pa.ChunkedArray:
    """Return the one column of a Polars frame. Raises ``WrongType`` for a kind that Arrow does not have."""
    try:
        return pa.table(frame).column(0)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise WrongType(
            f"{name} is of the Polars type {frame.dtypes[0]}, which cannot be read",
            where=place(contract, contract.field(name)) or where,
            why=f"Arrow says: {first_line(error)}.",
            next=f"cast {name} to a number, a text, a time or a boolean in the source",
            column=name,
        ) from error


def _from_pandas(frame: Any, contract: ContractSpec, *, where: str) -> pa.Table:
    names = [str(name) for name in frame.columns]
    in_index = [str(name) for name in frame.index.names if name is not None]
    for field in contract.fields:
        if field.name not in names and field.name in in_index:
            raise MissingColumn(
                f"{field.name} is in the index of the frame, not a column",
                where=place(contract, field),
                why="An index has no place in a table of facts.",
                next="end the source with: return frame.reset_index()",
                column=field.name,
            )
    if len(frame) == 0:
        return pa.table({name: pa.nulls(0) for name in names})
    promised = {field.name for field in contract.fields}
    arrays = [
        _from_series(frame.iloc[:, position], contract, name, where=where) if name in promised else pa.nulls(len(frame))
        for position, name in enumerate(names)
    ]
    return pa.Table.from_arrays(arrays, names=names)


def _from_series(series: Any, contract: ContractSpec, name: str, *, where: str) -> pa.ChunkedArray | pa.Array:
    try:
        array = pa.array(series, from_pandas=True)
        if series.dtype == object and pa.types.is_timestamp(array.type):
            _refuse_mixed_zones(series, contract, name)
        return array
    except _NOT_ONE_TYPE:
        pass
    # A column of several types: as text, so that each value is judged by itself.
    texts: list[str | None] = []
    for value, missing in zip(series, series.isna(), strict=True):
        if missing:
            texts.append(None)
        elif isinstance(value, str | bool | int | float | Decimal) or hasattr(value, "dtype"):
            texts.append(_utf8(str(value), contract, name, where=where))
        elif hasattr(value, "isoformat"):
            texts.append(value.isoformat())
        else:
            raise WrongType(
                f"{name} holds a {type(value).__name__} among other values",
                where=place(contract, contract.field(name)) or where,
                why="A column holds numbers, text, times or booleans.",
                next=f"turn {name} into one of these in the source",
                column=name,
            )
    return pa.array(texts, pa.string())


def _utf8(text: str, contract: ContractSpec, name: str, *, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongType(
            f"{name} holds {text[:40]!r}, which is no text",
            where=place(contract, contract.field(name)) or where,
            why="Half of a character can be neither kept nor compared.",
            next=f"read {name} with its own encoding in the source, or leave such characters out",
            column=name,
        ) from None
    return text


def _refuse_mixed_zones(series: Any, contract: ContractSpec, name: str) -> None:
    """Raise ``MixedTimeZones`` for a column in which some times have a zone: Arrow would take the others as UTC."""
    zoned = [getattr(value, "tzinfo", None) is not None for value in series.dropna()]
    if any(zoned) and not all(zoned):
        raise MixedTimeZones(
            f"{name} has {sum(zoned)} times with a zone and {len(zoned) - sum(zoned)} without one",
            where=place(contract, contract.field(name)),
            column=name,
        )
