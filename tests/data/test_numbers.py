"""Whole numbers and decimals keep every digit, and what does not fit is marked with its own digits."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.data.conformed import Conformed
from trimtab.data.numbers import booleans, floats, integers

DIGITS = st.integers(-(10**30), 10**30)
NEAR = st.sampled_from([0, 2**53, 2**63, -(2**63), 2**64, 10**18, 10**19])
WHOLE = st.one_of(DIGITS, st.builds(int.__add__, NEAR, st.integers(-3, 3)))


def values(found: Conformed | None) -> list[object]:
    """Return what was brought; of a value that was marked wrong, what was given."""
    assert found is not None
    wrong = np.zeros(len(found.array), bool) if found.wrong is None else found.wrong
    return [
        str(found.given[row].as_py()) if wrong[row] else found.array[row].as_py() for row in range(len(found.array))
    ]


@given(st.lists(WHOLE, min_size=1))
def test_integers_keep_every_digit_or_are_marked_with_them(numbers):
    expected = [one if -(2**63) <= one < 2**63 else str(one) for one in numbers]
    forms = [pa.array(list(map(str, numbers))), pa.array(list(map(Decimal, numbers)), pa.decimal256(76, 0))]
    if max(numbers) < 2**64 and min(numbers) >= 0:
        forms.append(pa.array(numbers, pa.uint64()))
    for form in forms:
        assert values(integers(form)) == expected


@given(st.lists(WHOLE, min_size=1), st.integers(1, 5))
def test_a_fraction_of_zero_is_a_whole_number(numbers, scale):
    expected = [one if -(2**63) <= one < 2**63 else f"{one}.{'0' * scale}" for one in numbers]
    texts = [f"{one}.{'0' * scale}" for one in numbers]
    assert values(integers(pa.array(texts))) == expected
    assert values(integers(pa.array(list(map(Decimal, texts)), pa.decimal256(76, scale)))) == expected


@given(st.lists(st.integers(-(2**54), 2**54).map(float) | st.floats(allow_nan=False), min_size=1))
def test_floats_are_whole_numbers_up_to_where_every_whole_number_is_one(numbers):
    expected = [int(one) if one.is_integer() and abs(one) <= 2**53 else str(one) for one in numbers]
    assert values(integers(pa.array(numbers))) == expected
    # A text passes through no float, so its digits are exact beyond that as well.
    first, text = numbers[0], repr(numbers[0])
    assert values(integers(pa.array([text])))[0] in (expected[0], text, int(first) if first.is_integer() else text)


@pytest.mark.parametrize(
    "text", ["1e17", "9007199254740993e0", "0x1F", "1.5", "4503599627370497.3", "1e999999999", "one"]
)
def test_a_text_that_is_no_whole_number_is_marked(text):
    assert values(integers(pa.array(["1", text]))) == [1, text]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-(10**15), max_value=10**15)))
def test_a_decimal_becomes_the_nearest_float(numbers):
    expected = [float(one) for one in numbers]
    assert values(floats(pa.array(numbers, pa.decimal128(38, 20)))) == expected
    assert values(floats(pa.array([str(one) for one in numbers], pa.string()))) == expected


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_a_large_whole_number_becomes_the_nearest_float(numbers):
    assert values(floats(pa.array(numbers, pa.uint64()))) == [float(one) for one in numbers]


def test_infinities_are_numbers_in_every_spelling():
    assert values(floats(pa.array(["inf", "-Infinity", "+INF"]))) == [float("inf"), -float("inf"), float("inf")]


@pytest.mark.parametrize(
    "given",
    [pa.array([1, 2]), pa.array(["1", "2"]), pa.array([1.0, 2.0]), pa.array([Decimal(1), Decimal(2)])],
)
def test_a_number_but_0_and_1_is_neither_yes_nor_no(given):
    assert values(booleans(given)) == [True, str(given[1].as_py())]
