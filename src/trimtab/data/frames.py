"""Take pandas, Polars and Arrow frames as Arrow tables, each value as what it is.

pandas keeps what it has no type for as Python objects, and a column of them may mix types. Arrow would take the first
value's type for all (a date beside it cuts the hours off a time), so a mixed column is read value by value.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from trimtab.data.conform import arrow_type, place
from trimtab.data.errors import MissingColumn, MixedTimeZones, NotAFrame, SourceFailed, WrongType, first_line
from trimtab.data.values import shown, value_text
from trimtab.declare import ContractSpec

_SERIES = ("pandas", "polars")
"""Libraries whose frames are known by their columns; what else of them streams as Arrow is a single column."""
_NOT_ONE_TYPE = (
    pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError, TypeError,
)  # fmt: skip
"""What Arrow raises for values that no one type of it holds: 2**70 is among them, and a Decimal that is infinite."""
_WIDE = ("Int128", "UInt128")
_ALIKE = (str, bool, int, float, Decimal, date)
"""Types of Python whose values, alone in a column, Arrow takes for what they are; so it does those of datetime."""
_PLAIN = (str, bool, int, float, Decimal, UUID, date, time, np.generic)


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


def _from_one(frame: Any, contract: ContractSpec, name: str, *, where: str) -> pa.ChunkedArray | pa.Array:
    """Return the one column of a Polars frame. Raises ``WrongType`` for a kind that Arrow does not have."""
    try:
        if str(frame.dtypes[0]) == "Object":  # of which Arrow would get the addresses in memory
            return _each_value(frame[name].to_list(), contract, name, where=where)
        if str(frame.dtypes[0]) in _WIDE:  # no type of Arrow has so many digits; as text none is lost
            frame = frame.select(frame[name].cast(str))
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
    series = _without_signals(series)
    present = series[~series.isna()] if series.dtype == object else ()
    kinds = {_kind_of(one) for one in set(map(type, present))}
    if kinds == {datetime}:
        _refuse_mixed_zones(present, contract, name)
    if len(kinds) <= 1 and None not in kinds:
        try:
            found = pa.array(series, from_pandas=True)
        except _NOT_ONE_TYPE:
            found = None
        if found is not None and not _is_of_pandas(found):
            return found
    values = [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]
    return _each_value(values, contract, name, where=where)


def _is_of_pandas(array: pa.Array) -> bool:
    """Say whether a column holds what only pandas has a type for: periods, of which Arrow has counts, and intervals."""
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    return str(getattr(kind, "extension_name", "")).startswith("pandas.")


def _without_signals(series: Any) -> Any:
    """Return a column of objects without signalling NaN, which raises when pandas or Arrow compares it."""
    if series.dtype != object:
        return series
    try:
        series.isna()
    except InvalidOperation:
        known = [None if isinstance(one, Decimal) and one.is_snan() else one for one in series]
        return type(series)(known, dtype=object)
    return series


def _kind_of(one: type) -> type | None:
    """Return the type of Python that Arrow takes values of a type for, None when it is another."""
    if issubclass(one, datetime):
        return datetime
    return one if one in _ALIKE else None


def _each_value(values: Sequence[Any], contract: ContractSpec, name: str, *, where: str) -> pa.Array:
    """Return a column of several types as texts; where text is promised, in a union with the values that have none."""
    field = contract.field(name)
    assert field is not None
    texts, others = list[str | None](), list[bytes]()
    codes, places = list[int](), list[int]()
    for value in values:
        if value is not None and not isinstance(value, _PLAIN):
            raise WrongType(
                f"{name} holds a value of the type {type(value).__name__}",
                where=place(contract, field) or where,
                why="A column holds numbers, text, times or booleans.",
                next=f"turn {name} into one of these in the source"
                + (f": {name}.dt.to_timestamp()" if type(value).__name__ == "Period" else ""),
                column=name,
            )
        has_none = value is not None and arrow_type(field) == pa.string() and value_text(value) is None
        codes.append(int(has_none))
        places.append(len(others) if has_none else len(texts))
        if has_none:
            others.append(shown(value).encode())
        else:
            texts.append(None if value is None else _utf8(shown(value), contract, name, where=where))
    if not others:
        return pa.array(texts, pa.string())
    children = [pa.array(texts, pa.string()), pa.array(others, pa.binary())]
    return pa.UnionArray.from_dense(pa.array(codes, pa.int8()), pa.array(places, pa.int32()), children)


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


def _refuse_mixed_zones(present: Any, contract: ContractSpec, name: str) -> None:
    """Raise ``MixedTimeZones`` for a column in which some times have a zone: Arrow would take the others as UTC."""
    zoned = [value.tzinfo is not None for value in present]
    if any(zoned) and not all(zoned):
        raise MixedTimeZones(
            f"{name} has {sum(zoned)} times with a zone and {len(zoned) - sum(zoned)} without one",
            where=place(contract, contract.field(name)),
            column=name,
        )
