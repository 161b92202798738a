"""What a user gives as a metric's value, step and time, as a point can hold it."""

import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from trimtab.kernel import parse_time
from trimtab.tracking.names import FURTHEST_STEP
from trimtab.tracking.shapes import Text, shape_of
from trimtab.tracking.texts import text_of

_NO_NUMBERS = ("c", "m", "M")
"""Kinds of NumPy of which a float would be a part or a count of units: complex numbers, durations, times."""


def number_of(value: Any) -> float | None:
    """Return the number that a value is, NaN where it says that there is none, or None where it is no number.

    Numbers are whatever Python, NumPy, pandas, Arrow and torch call one, also as an array of one value; one beyond the
    largest float is an infinity.
    """
    if type(value) in (float, int, bool):
        return _float(value)
    try:
        if getattr(value, "shape", ()) and math.prod(value.shape) == 1:
            value = (value.to_numpy() if hasattr(value, "to_numpy") else value).reshape(())
        shape = shape_of(value)
        if shape is None or (isinstance(shape, Text) and shape.missing):
            return math.nan
        if getattr(getattr(value, "dtype", None), "kind", "") in _NO_NUMBERS:
            return None
        return _float(shape) if isinstance(shape, bool | int | float | str) else _float(value)
    except Exception:  # noqa: BLE001  what other people's objects raise must not end a training
        return None


def step_of(step: Any, *, key: str, next_step: int, warn: Callable[[str], None]) -> int:
    """Return the whole number that a metric's step is; for what is none, or lies beyond 2**53, the metric's next."""
    try:
        whole = operator.index(step)
    except TypeError:
        number = number_of(step)
        whole = int(number) if number is not None and number.is_integer() else FURTHEST_STEP + 1
    if -FURTHEST_STEP <= whole <= FURTHEST_STEP:
        return whole
    warn(f"metric {key[:60]!r} was given the step {_short(step)}, which is no whole number up to 2**53: "
         f"it is kept as its next one, {next_step}")  # fmt: skip
    return next_step


def moment_of(at: Any, *, key: str, now: datetime, warn: Callable[[str], None]) -> datetime:
    """Return the time that a metric was given, in UTC when it names no zone; for what is no time, ``now``."""
    try:
        is_time = isinstance(at, datetime) and at == at  # noqa: PLR0124  pandas.NaT differs from itself
        moment = at if is_time else parse_time(str(at), where="metric")
    except Exception:  # noqa: BLE001  what other people's objects raise must not end a training
        warn(
            f"metric {key[:60]!r} was given the time {_short(at)}, which is none: it is kept with the time of the call"
        )
        return now
    if moment.tzinfo is None:
        warn(f"metric {key[:60]!r} was given the time {_short(at)} without a zone: it is taken as UTC")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _short(value: Any) -> str:
    return repr(text_of(value).text[:60])


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return None
