"""One value has one text, whatever type of Python holds it."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.data.values import EXACT, shown, value_text


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"), (3.0, "3"), (Decimal("3.00"), "3"), (np.int8(3), "3"), (np.float32(3), "3"), ("3.0", "3.0"),
        (-0.0, "0"), (Decimal("-0.0"), "0"), (Decimal("1E+2"), "100"), (1e-7, "0.0000001"), (0.1, "0.1"),
        (True, "true"), (np.bool_(False), "false"), (2**70, "1180591620717411303424"), (Colour.RED, "red"),
        (Decimal("0.1000000000000000000000001"), "0.1000000000000000000000001"), (float(2**53), "9007199254740992"),
        (UUID(int=3), "00000000-0000-0000-0000-000000000003"),
        (2.0**54, None), (float("inf"), None), (float("nan"), None), (Decimal("Infinity"), None),
        (date(2024, 1, 1), None), (datetime(2024, 1, 1), None), (None, None), (b"x", None),
        (np.timedelta64(5, "s"), None), (Decimal("1E+999999999"), None), (Decimal("1E-999999999"), None),
    ],
)  # fmt: skip
def test_a_value_has_one_text_or_none(value, text):
    assert value_text(value) == text


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="floats of this machine are not longer")
def test_a_longer_float_is_not_rounded_to_another_whole_number():
    assert [value_text(np.longdouble(EXACT) + one) for one in (-1, 0, 1)] == [str(EXACT - 1), str(EXACT), None]


@given(st.integers(-EXACT, EXACT))
def test_a_whole_number_has_its_digits_in_every_type(value):
    assert {value_text(one) for one in (value, float(value), Decimal(value), Decimal(f"{value}.000"))} == {str(value)}


@given(st.floats(-(2.0**53), 2.0**53))
def test_a_fraction_is_read_back_from_its_text(value):
    assert float(value_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2023-12-31T23:00:00+00:00"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), "9999-12-31T23:59:59.999999-02:00"),
        (date(2024, 1, 1), "2024-01-01"), (np.datetime64("2024-01"), "2024-01-01T00:00:00.000000"),
        (np.datetime64("2024-01-01"), "2024-01-01"), (pd.Timestamp("2024-01-01", tz=UTC), "2024-01-01T00:00:00+00:00"),
        (1e300, "1e+300"), (3.0, "3"), (np.timedelta64(5, "s"), "5 seconds"), (Decimal("1E+999999999"), "1E+999999999"),
    ],
)  # fmt: skip
def test_what_has_no_text_is_shown_to_a_person(value, text):
    assert shown(value) == text


def test_numbers_of_more_digits_than_python_writes():
    assert value_text(-(10**5000)) == "-1" + "0" * 5000
    assert value_text(10**10_000) is None
    assert shown(-(10**20_000)) == "-1.00000000000000000000e+20000"
