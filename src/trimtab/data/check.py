"""Hold a table to its contract in one pass: rows that break a promise are set aside with the reason, the rest is kept.

A row is set aside when a key or the event time is missing, when a number is infinite or outside its bounds, when a
value is not one of those promised, or when it is of another type than the rest of its column (``12``, ``13``,
``"n/a"``). A missing value of any other field breaks nothing by itself: what is promised is the share of missing values
among the kept rows, and a table that exceeds it is refused as a whole. Rows that repeat a key and event time are kept;
the profile counts them. Of these ``latest`` takes the later one, and a window counts each.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.conform import conform, place, promised
from trimtab.data.conformed import Conformed
from trimtab.data.errors import ContractBroken, EmptySource, MissingColumn, TooNew
from trimtab.data.records import Break, Checked
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, number_text

REASON = "reason"
THREADS = 4
LARGE = 1 << 16
LONGEST = 200
"""Characters of a value in an example; the row that is set aside says it whole."""


class _Broken(NamedTuple):
    """The rows that break one promise. ``say(row)`` is the value, as in ``wind_speed 1048.36``."""

    field: str
    promise: str
    rows: np.ndarray
    say: Callable[[int], str]


def check(contract: ContractSpec, table: pa.Table, *, set_aside_limit: float = 1.0) -> Checked:
    """Return the rows that keep the contract and those that do not, both in order.

    Raises ``EmptySource``, ``MissingColumn``, ``WrongType`` or ``MixedTimeZones`` for a table that is not of this
    contract, and ``ContractBroken`` when more than ``set_aside_limit`` (share, 0 to 1) of the rows break it, when none
    is left, or when more values of a field are missing than promised. Columns that the contract does not name are
    left out.
    """
    require_columns(contract, table.column_names)
    if table.num_rows == 0:
        raise EmptySource(f"the table has no rows for {contract.name}", where=place(contract))
    columns: dict[str, pa.Array] = {}
    broken: list[_Broken] = []
    for field, conformed in zip(contract.fields, _conformed(contract, table), strict=True):
        columns[field.name] = conformed.array
        broken += _promises_broken(field, conformed)
    typed = pa.table(columns)
    aside = np.zeros(table.num_rows, dtype=bool)
    for one in broken:
        aside[one.rows] = True
    breaks = tuple(_as_break(contract, typed, one) for one in broken)
    count = int(aside.sum())
    _hold_to_limit(contract, breaks, count=count, rows=table.num_rows, limit=set_aside_limit)
    kept = typed.filter(pa.array(~aside)) if count else typed
    _hold_to_missing(contract, kept)
    return Checked(kept, _set_aside(typed, np.flatnonzero(aside), broken), breaks)


def _conformed(contract: ContractSpec, table: pa.Table) -> list[Conformed]:
    def one(field: FieldSpec) -> Conformed:
        return conform(contract, field, table.column(field.name))

    if table.num_rows < LARGE:
        return [one(field) for field in contract.fields]
    # Reading texts as numbers and times is Arrow's work, which other threads need not wait for.
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, contract.fields))


def require_columns(contract: ContractSpec, names: list[str]) -> tuple[str, ...]:
    """Raise ``MissingColumn`` unless each promised column is there once; return the columns that nobody promised."""
    for field in contract.fields:
        count = names.count(field.name)
        if count == 1:
            continue
        near = next((name for name in names if name.strip().lower() == field.name.lower()), None)
        if count:
            what, todo = f"{count} columns named {field.name}", "keep one of them in the source"
        elif near:
            what, todo = f"no column {field.name}", f"rename {near!r} to {field.name!r} in the source"
        else:
            what = f"no column {field.name}"
            todo = f"add {field.name} to what the source returns, or take it out of the contract"
        raise MissingColumn(
            f"{contract.name} has {what}",
            where=place(contract, field),
            why=f"The contract promises one; the source gave {', '.join(sorted(names)) or 'no columns'}.",
            next=todo,
            column=field.name,
        )
    promised_names = {field.name for field in contract.fields}
    return tuple(name for name in names if name not in promised_names)


def refuse_future(contract: ContractSpec, table: pa.Table, *, now: datetime) -> int:
    """Return how many rows have an event time after ``now``; raise ``TooNew`` when all have.

    Some are no mistake: a timetable knows tomorrow's flights. What is not *known* yet is hidden by its known time.
    """
    times = table.column(contract.event_time)
    later = pc.greater(times, pa.scalar(now, times.type))
    count = pc.sum(later).as_py() or 0
    if count == table.num_rows:
        raise TooNew(
            f"all {count} rows of {contract.name} lie after now, {now:%Y-%m-%d %H:%M} UTC; "
            f"the first is of {pc.min(times).as_py():%Y-%m-%d %H:%M}",
            where=place(contract, contract.field(contract.event_time)),
            column=contract.event_time,
        )
    return int(count)


def _promises_broken(field: FieldSpec, conformed: Conformed) -> Iterator[_Broken]:
    array, wrong, given = conformed
    if wrong is not None and given is not None:
        # One value of the wrong type says so once, not also that it is missing.
        yield _Broken(field.name, promised(field), np.flatnonzero(wrong), lambda row: f"'{given[row].as_py()}'")
    if field.kind in (FieldKind.KEY, FieldKind.EVENT_TIME) and array.null_count:
        null = np.array(array.is_null())
        if wrong is not None:
            null &= ~wrong
        if null.any():
            yield _Broken(field.name, "in every row", np.flatnonzero(null), lambda _row: "missing")
    if pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        yield from _numbers_broken(field, array)
    if field.values is not None:
        allowed = pc.is_in(array.cast(pa.string()), pa.array(field.values, pa.string()))
        other = np.array(pc.and_(pc.invert(allowed), array.is_valid()))
        if other.any():
            promise = "one of " + ", ".join(field.values[:12]) + (", …" if len(field.values) > 12 else "")
            yield _Broken(field.name, promise, np.flatnonzero(other), lambda row: f"'{array[row].as_py()}'")


def _numbers_broken(field: FieldSpec, array: pa.Array) -> Iterator[_Broken]:
    extremes = pc.min_max(array).as_py()
    low, high = extremes["min"], extremes["max"]
    if low is None:
        return
    floating = pa.types.is_floating(array.type)
    values = array.fill_null(0).to_numpy()
    valid = np.array(array.is_valid()) if array.null_count else None

    def rows_where(mask: np.ndarray) -> np.ndarray:
        return np.flatnonzero(mask & valid) if valid is not None else np.flatnonzero(mask)

    if floating and (np.isinf(low) or np.isinf(high)):
        yield _Broken(field.name, "a finite number", rows_where(np.isinf(values)), lambda row: f"{values[row]}")
    beyond = np.zeros(len(values), dtype=bool)
    if field.low is not None and low < field.low:
        beyond |= values < _bound(field.low, math.ceil, values)
    if field.high is not None and high > field.high:
        beyond |= values > _bound(field.high, math.floor, values)
    if floating:
        beyond &= np.isfinite(values)
    rows = rows_where(beyond)
    if len(rows):
        yield _Broken(field.name, _bounds(field), rows, lambda row: number(values[row], outside=field))


def _bound(bound: float, inwards: Callable[[float], int], values: np.ndarray) -> float:
    """Return a bound in the type of the values: as floats, large whole numbers would equal a bound beside them."""
    if values.dtype != np.int64:
        return bound
    return min(max(inwards(bound), -(2**63)), 2**63 - 1)


def _bounds(field: FieldSpec) -> str:
    low, high = (None if bound is None else number_text(bound) for bound in (field.low, field.high))
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}"


def number(value: float, *, outside: FieldSpec | None = None) -> str:
    """Write a number with six digits, or with all of them where six would round it back inside its bounds."""
    short = f"{value:.6g}"
    if "e" in short:
        return repr(value.item() if isinstance(value, np.generic) else value)
    if outside is not None:
        inside = (outside.low is None or float(short) >= outside.low) and (
            outside.high is None or float(short) <= outside.high
        )
        if inside:
            return repr(value.item() if isinstance(value, np.generic) else value)
    return short


def _as_break(contract: ContractSpec, typed: pa.Table, broken: _Broken) -> Break:
    row = int(broken.rows[0])
    keys = [typed.column(name)[row].as_py() for name in contract.keys if name != broken.field]
    at = typed.column(contract.event_time)[row].as_py() if broken.field != contract.event_time else None
    places = [str(key) for key in keys if key is not None] + ([f"{at:%Y-%m-%d}"] if at is not None else [])
    said = broken.say(row)
    said = said if len(said) <= LONGEST else f"{said[:LONGEST]}... ({len(said)} characters)"
    found = f"{broken.field} {said}" if broken.promise != "in every row" else f"{broken.field} is missing"
    located = found + (f" at {', '.join(places)}" if places else "")
    return Break(
        field=broken.field,
        reason=f"promised {broken.promise}",
        rows=len(broken.rows),
        example=f"{located} (promised {broken.promise})",
    )


def _set_aside(typed: pa.Table, rows: np.ndarray, broken: list[_Broken]) -> pa.Table:
    reasons: dict[int, list[str]] = {int(row): [] for row in rows}
    for one in broken:
        for row in one.rows.tolist():
            found = "is missing" if one.promise == "in every row" else one.say(row)
            reasons[row].append(f"{one.field} {found}, promised {one.promise}")
    texts = pa.array(["; ".join(reasons[int(row)]) for row in rows], pa.string())
    return typed.take(pa.array(rows)).append_column(REASON, texts)


def _hold_to_limit(contract: ContractSpec, breaks: tuple[Break, ...], *, count: int, rows: int, limit: float) -> None:
    if count <= limit * rows and count < rows:
        return
    worst = max(breaks, key=lambda one: one.rows)
    share, allowed = _shares(count / rows, limit)
    extent = f"({share}), at most {allowed} may" if limit < 1 else "and nothing is left"
    raise ContractBroken(
        f"{count} of {rows} rows break the contract {extent}; {worst.rows} of them: {worst.example}",
        where=place(contract, contract.field(worst.field)),
        why="So many broken rows mean a change in the source, not a few bad values; nothing was written.",
        next="correct the source or the contract"
        if limit >= 1
        else "correct the source or the contract, or allow more in its declaration: set_aside=...",
        field=worst.field,
        rows=count,
        share=count / rows,
        limit=limit,
    )


def _hold_to_missing(contract: ContractSpec, kept: pa.Table) -> None:
    for field in contract.fields:
        if field.missing is None:
            continue
        column = kept.column(field.name)
        share = column.null_count / kept.num_rows
        if share <= field.missing:
            continue
        month, in_month, months = _worst_month(kept.column(contract.event_time), column)
        shown, allowed = _shares(share, field.missing)
        when = f"({month})" if months == 1 else f"(worst in {month}: {_percent(in_month)})"
        raise ContractBroken(
            f"{shown} missing, promised at most {allowed} {when}",
            where=place(contract, field),
            why=f"{column.null_count} of {kept.num_rows} values of {field.name} are missing; nothing was written.",
            next=f"correct the source, or promise less: missing={_rounded_up(share)}",
            field=field.name,
            share=share,
            promised=field.missing,
            month=month,
        )


def _worst_month(times: pa.ChunkedArray, column: pa.ChunkedArray) -> tuple[str, float, int]:
    """Return the month with the largest share of nulls, that share, and how many months there are."""
    # A month with a handful of rows says little: it may win only with at least a tenth of an average month.
    month = times.combine_chunks().cast(pa.int64()).to_numpy().astype("datetime64[us]").astype("datetime64[M]")
    names, of_row, rows = np.unique(month, return_inverse=True, return_counts=True)
    nulls = np.bincount(of_row, weights=np.array(column.combine_chunks().is_null()), minlength=len(names))
    shares = np.where(rows * 10 >= rows.mean(), nulls / rows, -1.0)
    worst = int(np.argmax(shares))
    return str(names[worst]), float(shares[worst]), len(names)


def _percent(share: float, *, digits: int = 2) -> str:
    text = f"{share * 100:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def _shares(found: float, allowed: float) -> tuple[str, str]:
    """Write both shares with as many digits as it takes to see that the first is larger."""
    for digits in (2, 3, 4, 6, 8):
        shown, limit = _percent(found, digits=digits), _percent(allowed, digits=digits)
        if shown != limit:
            break
    return shown, limit


def _rounded_up(share: float) -> str:
    return f"{min(1.0, np.ceil(share * 1000) / 1000):g}"
