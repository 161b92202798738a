"""One value has one text, whatever brought it: 3, 3.0, ``Decimal("3.00")`` and "3" are all "3".

A whole number has its digits and no more, a fraction the shortest decimal text that reads as the same number, yes and
no are ``true`` and ``false``. A float beyond 2**53 has no text: floats that large leave whole numbers out, so two ids
may have become one. Times have no text of their own either, since they can be written in many ways, nor have numbers of
more than 10,000 digits, such as ``Decimal("1E+999999999")``.
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

EXACT = 2**53
"""Whole numbers up to here are all floats; beyond, some are not."""

MOST_DIGITS = 10_000

MISSING = ("", "nan", "na", "null", "none", "nat", "<na>")
"""What programs write where a number, a yes or no, or a time is missing, in any case; blank text is missing always."""


def value_text(value: Any) -> str | None:
    """Return the text of one value, or None when it has none."""
    match value:
        case str():
            return str.__str__(value)  # also of an enumeration of texts, whose str() is its name
        case bool() | np.bool_():
            return "true" if value else "false"
        case np.timedelta64():  # which NumPy counts among the integers
            return None
        case int() | np.integer():
            return _digits(int(value))
        case float() | np.floating():
            return _text_of_float(value)
        case Decimal():
            return _plain_digits(value) if value.is_finite() and abs(value.adjusted()) < MOST_DIGITS else None
        case UUID():
            return str(value)
    return None


def shown(value: Any) -> str:
    """Return a value as a person reads it in a sentence: its text, a time in ISO 8601 (UTC when it names a zone)."""
    text = value_text(value)
    if text is not None:
        return text
    if isinstance(value, np.datetime64):
        text = str(value)
        return text if len(text) == 10 else str(value.astype("datetime64[us]"))  # a day, or any other unit
    if isinstance(value, datetime) and value.tzinfo is not None:
        return _in_utc(value).isoformat()
    if isinstance(value, int):
        return f"{Decimal(value):.20e}"
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _digits(value: int) -> str | None:
    if value.bit_length() < MOST_DIGITS:
        return str(value)
    number = Decimal(value)  # Python itself writes no more than 4,300 digits
    return f"{number:f}" if number.adjusted() < MOST_DIGITS else None


def _text_of_float(given: float | np.floating[Any]) -> str | None:
    value = float(given)
    if not abs(value) <= EXACT or (abs(value) == EXACT and value != given):  # NaN too; a longer float 2**53 + 1
        return None
    return str(int(value)) if value.is_integer() else _plain_digits(Decimal(repr(value)))


def _plain_digits(value: Decimal) -> str:
    """Write a decimal without an exponent and without zeros at the end."""
    if value == 0:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # within a day of the year 1 or 9999
        return value
