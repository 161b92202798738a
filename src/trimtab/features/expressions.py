"""Compute expressions over columns, twice in the same words: for a whole frame and for one row.

Both follow IEEE 754 in 64 bits, so they agree bit for bit: arithmetic in floats; two whole numbers (yes is 1, no is 0)
are compared as whole numbers, other numbers as floats, texts by code point. Null on either side, a division by zero
and a result that is not a number give null; -0.0 becomes 0.0; an overflow stays an infinity.
"""

import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.features.records import Kind, Part, Scalar
from trimtab.features.rows import Ints, without_oddities

_COLUMN_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "+": pc.add, "-": pc.subtract, "*": pc.multiply, "/": pc.divide, "<": pc.less, "<=": pc.less_equal,
    ">": pc.greater, ">=": pc.greater_equal, "==": pc.equal, "!=": pc.not_equal,
}  # fmt: skip
_SCALAR_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def column_of(op: str, left: pa.Array, right: pa.Array, *, kinds: tuple[Kind, Kind]) -> pa.Array:
    """Compute ``left op right`` for every row of two columns."""
    if op in "+-*/":
        a, b = left.cast(pa.float64(), safe=False), right.cast(pa.float64(), safe=False)
        if op == "/":
            b = pc.if_else(pc.equal(b, 0.0), pa.scalar(None, pa.float64()), b)
        return without_oddities(_COLUMN_OPS[op](a, b))
    if kinds[0] != "category":
        common = pa.float64() if "float" in kinds else pa.int64()
        left, right = left.cast(common, safe=False), right.cast(common, safe=False)
    return _COLUMN_OPS[op](left, right)


def scalar_of(op: str, left: Scalar, right: Scalar, *, kinds: tuple[Kind, Kind]) -> Scalar:
    """Compute ``left op right`` for one row."""
    if left is None or right is None:
        return None
    if op in "+-*/":
        a, b = float(left), float(right)
        if op == "/" and b == 0.0:
            return None
        result = _SCALAR_OPS[op](a, b) + 0.0
        return None if result != result else float(result)  # noqa: PLR0124
    if "float" in kinds:
        left, right = float(left), float(right)
    return bool(_SCALAR_OPS[op](left, right))


def constant_column(value: float | str | bool, rows: int) -> pa.Array:
    """Return a column that holds one constant."""
    kind = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[type(value)]
    return pa.repeat(pa.scalar(value, kind), rows)


def parts_of_times(part: Part, micros: Ints) -> Ints:
    """Return a calendar part, in UTC, of times in microseconds since 1970."""
    found: Ints
    match part.part:
        case "minute":
            found = micros // 60_000_000 % 60
        case "hour":
            found = micros // 3_600_000_000 % 24
        case "weekday":
            found = (micros // 86_400_000_000 + 3) % 7  # 1970 began on a Thursday
        case "day":
            times = micros.astype("datetime64[us]")
            first = times.astype("datetime64[M]").astype("datetime64[D]")
            found = (times.astype("datetime64[D]") - first).astype(np.int64) + 1
        case "month" | "quarter" | "year":
            months = micros.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
            found = {"month": months % 12 + 1, "quarter": months % 12 // 3 + 1, "year": months // 12 + 1970}[part.part]
        case _:
            assert_never(part.part)
    return found


def part_of_time(part: Part, micros: int) -> int:
    """Return a calendar part, in UTC, of one time in microseconds since 1970."""
    at = _EPOCH + timedelta(microseconds=micros)
    match part.part:
        case "weekday":
            return at.weekday()
        case "quarter":
            return (at.month - 1) // 3 + 1
        case _:
            return int(getattr(at, part.part))
