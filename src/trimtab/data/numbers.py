"""Read columns as numbers and as yes and no, to the last digit: nothing but floats passes through a float."""

from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data.conformed import Conformed, cast_at_once, each_distinct, marked, mask, trimmed
from trimtab.data.values import EXACT

_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_INFINITE = r"^[-+]?(?i:inf|infinity)$"
_WHOLE = r"^[-+]?\d+(\.0*)?$"
_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")
_LARGEST = str(2**63 - 1)
_SMALLEST = str(2**63)


def floats(array: pa.Array) -> Conformed | None:
    """Return numbers as float64, each the nearest; None for a column of another kind."""
    if array.type == pa.string():
        return _floats_at_once(array) or _floats_in(trimmed(array))
    if pa.types.is_decimal(array.type):
        return Conformed(decimal_texts(array).cast(pa.float64()))  # Arrow's own way is one bit off now and then
    if pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        numbers = without_nan(array.cast(pa.float64(), safe=False))
        return Conformed(pc.add(numbers, 0.0))  # -0.0 and 0.0 are one value
    return None


def integers(array: pa.Array) -> Conformed | None:
    """Return whole numbers as int64; None for a column of another kind.

    A float beyond 2**53 is wrong: floats that large leave whole numbers out, so it may stand for another one.
    """
    if array.type == pa.string():
        return _integers_at_once(array) or _integers_in(trimmed(array))
    if pa.types.is_decimal(array.type):
        try:
            return Conformed(array.cast(pa.int64()))
        except pa.ArrowInvalid:
            return _integers_in(decimal_texts(array))
    if pa.types.is_integer(array.type):
        if array.type != pa.uint64():
            return Conformed(array.cast(pa.int64()))
        wrong = mask(pc.greater(array, pa.scalar(2**63 - 1, pa.uint64())))
        return marked(array.cast(pa.int64(), safe=False), wrong, array)
    if pa.types.is_floating(array.type):
        numbers = without_nan(array.cast(pa.float64()))
        values = numbers.fill_null(0.0).to_numpy()
        wrong = ~((values == np.floor(values)) & (np.abs(values) <= EXACT))
        return marked(pa.array(np.where(wrong, 0.0, values).astype(np.int64)), wrong, numbers)
    return None


def booleans(array: pa.Array) -> Conformed | None:
    """Return yes and no, in any of their spellings, as booleans; None for a column of another kind."""
    if array.type == pa.string():
        return _booleans_in(array)
    if pa.types.is_decimal(array.type):
        return _booleans_in(decimal_texts(array))
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        numbers = without_nan(array.cast(pa.float64())) if pa.types.is_floating(array.type) else array
        values = numbers.fill_null(0).to_numpy(zero_copy_only=False)
        return marked(pa.array(values == 1), (values != 0) & (values != 1), numbers)
    return None


def decimal_texts(array: pa.Array) -> pa.Array:
    """Return decimals as they are written, all their digits and no exponent."""
    text = array.cast(pa.string())
    if pc.any(pc.match_substring(text, "E")).as_py():
        return each_distinct(text, lambda one: f"{Decimal(one):f}", pa.string())
    return text


def without_nan(numbers: pa.Array) -> pa.Array:
    """Return floats with null in the place of NaN."""
    is_nan = pc.is_nan(numbers)
    return pc.if_else(is_nan, None, numbers) if pc.any(is_nan).as_py() else numbers


def _floats_at_once(text: pa.Array) -> Conformed | None:
    values = cast_at_once(text, pa.float64())
    usual = values is not None and pc.all(pc.is_finite(values), min_count=0).as_py()
    return Conformed(pc.add(values, 0.0)) if usual else None


def _integers_at_once(text: pa.Array) -> Conformed | None:
    values = cast_at_once(text, pa.int64())
    # Arrow takes 0x1F for a whole number too.
    usual = values is not None and not pc.any(pc.match_substring(text, "x", ignore_case=True)).as_py()
    return Conformed(values) if usual else None


def _floats_in(text: pa.Array) -> Conformed:
    reads = pc.or_(pc.match_substring_regex(text, _NUMBER), pc.match_substring_regex(text, _INFINITE))
    values = pc.add(pc.if_else(reads, text, None).cast(pa.float64()), 0.0)
    # Of a text such as 1e999 no float is the nearest.
    too_large = pc.and_(pc.is_inf(values), pc.match_substring_regex(text, r"\d"))
    return marked(values, mask(pc.invert(reads)) | mask(too_large), text)


def _integers_in(text: pa.Array) -> Conformed:
    plain = pc.match_substring_regex(text, _WHOLE)
    digits = pc.replace_substring_regex(pc.if_else(plain, text, None), r"^\+|\.0*$", "")
    size = pc.ascii_ltrim(digits, characters="-0")  # as texts of one length compare, so do their numbers
    length, most = pc.binary_length(size), pc.if_else(pc.starts_with(digits, "-"), _SMALLEST, _LARGEST)
    fits = pc.or_(pc.less(length, 19), pc.and_(pc.equal(length, 19), pc.less_equal(size, most)))
    values = pc.if_else(fits, digits, None).cast(pa.int64())
    wrong = mask(text.is_valid()) & ~mask(fits)
    unusual = wrong & ~mask(plain)
    if unusual.any():  # 1e3 and .0, and what is no whole number at all
        rest = pc.if_else(pa.array(unusual), text, None)
        rest = each_distinct(pc.if_else(pc.match_substring_regex(rest, _NUMBER), rest, None), _whole, pa.int64())
        values = pc.coalesce(values, rest)
        wrong &= ~mask(rest.is_valid())
    return marked(values, wrong, text)


def _whole(text: str) -> int | None:
    """Read a number with a fraction or an exponent, which is how floats are written, by the rule for floats."""
    try:
        value = Decimal(text)
    except InvalidOperation:  # 1e9999999999999999999
        return None
    return int(value) if -EXACT <= value <= EXACT and value == value.to_integral_value() else None


def _booleans_in(array: pa.Array) -> Conformed:
    coded = array.dictionary_encode()  # there are few spellings, however many rows
    text = trimmed(coded.dictionary)
    word = pc.replace_substring_regex(pc.utf8_lower(text), r"\.0*$", "")
    yes, no = pc.is_in(word, pa.array(_TRUE)), pc.is_in(word, pa.array(_FALSE))
    wrong = pc.invert(pc.or_(yes, no))
    return marked(yes.take(coded.indices), mask(wrong.take(coded.indices)), text.take(coded.indices))
