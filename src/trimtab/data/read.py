"""Get a source's rows as an Arrow table: call its function, read its file, or run its query on DuckDB.

pandas, Polars and Arrow frames are taken as they are; columns that the contract does not name are left out and
reported.
"""

import inspect
import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import ipc

from trimtab.data.check import require_columns
from trimtab.data.csv_file import Unreadable, read_csv
from trimtab.data.errors import (
    EmptySource,
    SourceFailed,
    SourceMissing,
    first_line,
)
from trimtab.data.frames import to_arrow
from trimtab.data.parquet_file import read_parquet
from trimtab.declare import ContractSpec, SourceSpec

_EXTRA = b"trimtab.extra_columns"
_IPC_FILE = b"ARROW1"
_WIDE = ("UHUGEINT", "BIGNUM")


def _read_ipc(path: Path, _contract: ContractSpec) -> pa.Table:
    data = pa.memory_map(str(path)).read_buffer()
    # Both are called .arrow: files, and what was written as it came, without the table of contents at the end.
    opened = ipc.open_file if data[: len(_IPC_FILE)].to_pybytes() == _IPC_FILE else ipc.open_stream
    return opened(data).read_all()


_READERS: dict[str, Callable[[Path, ContractSpec], pa.Table]] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".gz": read_csv,
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
    except Unreadable as error:
        raise SourceFailed(
            f"{source.path} of source {source.name} cannot be read", where=where, why=f"Of {path.name}: {error}.",
            next=error.todo,
        ) from None  # fmt: skip
    except (pa.ArrowException, OSError) as error:
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
                return _exact(relation).to_arrow_table()
        except duckdb.Error as error:
            raise SourceFailed(
                f"the query of source {source.name} failed",
                where=where,
                why=f"DuckDB says: {str(error).splitlines()[0][:300]}.",
                next="run the query with duckdb, and correct it",
            ) from error
    raise EmptySource(f"the query of source {source.name} selects nothing", where=where)


def _exact(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return a query whose widest whole numbers come as text: Arrow would get other numbers for them."""
    names = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in relation.columns]
    wide = [str(kind) in _WIDE for kind in relation.types]
    if not any(wide) or len(set(names)) < len(names):
        return relation
    return relation.project(
        ", ".join(
            f"CAST({name} AS VARCHAR) AS {name}" if is_wide else name for name, is_wide in zip(names, wide, strict=True)
        )
    )
