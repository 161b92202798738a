"""A column brought to its promised type, and how its values are marked that cannot be brought there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.values import MISSING

_NAN = r"^[-+]?nan(\(\w*\))?$"
"""Spellings of NaN that C writes, such as -nan and -nan(ind); so Arrow reads them from a file."""


class Conformed(NamedTuple):
    """A column of the promised type. ``wrong`` marks values that it cannot hold (now null), ``given`` has them."""

    array: pa.Array
    wrong: np.ndarray | None = None
    given: pa.Array | None = None


def marked(array: pa.Array, wrong: np.ndarray, given: pa.Array) -> Conformed:
    """Return a column with null where a value is wrong; what was not given is missing and never wrong."""
    there = np.asarray(given.is_valid())
    wrong = wrong & there
    array = pc.if_else(pa.array(there & ~wrong), array, pa.scalar(None, array.type))
    return Conformed(array, wrong, given) if wrong.any() else Conformed(array)


def mask(condition: pa.Array) -> np.ndarray:
    """Return a condition as a mask; where it is null it does not hold."""
    return np.array(condition.fill_null(False))


def trimmed(array: pa.Array) -> pa.Array:
    """Return texts without blanks around them, null where a program wrote a word for a missing value."""
    text = pc.utf8_trim_whitespace(array)
    word = pc.utf8_lower(text)
    absent = pc.or_(pc.is_in(word, pa.array(MISSING)), pc.match_substring_regex(word, _NAN))
    return pc.if_else(absent, None, text) if pc.any(absent).as_py() else text


def cast_at_once(text: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Return a column of texts that all read as a type, or are empty, many times faster than by patterns; else None."""
    empty = pc.equal(pc.binary_length(text), 0)
    text = pc.if_else(empty, None, text) if pc.any(empty).as_py() else text
    try:
        text.slice(0, 100).cast(kind)  # each value that fails takes Arrow its time, so a few are tried first
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None


def each_distinct(array: pa.Array, read: Callable[[Any], Any], target: pa.DataType) -> pa.Array:
    """Read each distinct value of a column once, in Python; what reads as None is null."""
    coded = array.dictionary_encode()
    found = [None if value is None else read(value) for value in coded.dictionary.to_pylist()]
    return pa.array(found, target).take(coded.indices)
