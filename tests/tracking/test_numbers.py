"""A metric's value is a number in many costumes, and a step or time that cannot be kept never ends a training."""

import decimal
import fractions
import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from trimtab.tracking.numbers import moment_of, number_of, step_of

NOW = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        0.5, np.float32(0.5), np.array(0.5), np.array([0.5]), np.array([[0.5]]), pd.Series([0.5]), pl.Series([0.5]),
        pd.DataFrame({"a": [0.5]}), pa.scalar(0.5), decimal.Decimal("0.5"), fractions.Fraction(1, 2), "0.5",
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_number_is_a_number_in_every_type(value):
    assert number_of(value) == 0.5


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT, math.nan, np.float32("nan"), pa.scalar(None, pa.float64())])
def test_a_missing_value_is_nan(value):
    assert math.isnan(number_of(value))


@pytest.mark.parametrize(
    "value",
    [
        "high", [0.5], np.array([1.0, 2.0]), np.array([]), {"a": 1}, object(), 1j, datetime.now, np.complex64(1 + 2j),
        np.array([1 + 2j]), np.datetime64("2024-01-01T00:00", "ns"), np.timedelta64(5, "Y"), np.timedelta64(5),
    ],
)  # fmt: skip
def test_anything_else_is_no_number(value):
    assert number_of(value) is None


def test_numbers_beyond_the_largest_float_are_infinite():
    assert (number_of(10**400), number_of(-(10**400))) == (math.inf, -math.inf)


def test_a_step_is_a_whole_number_or_the_next_one():
    said = []
    for step, kept in (
        (3, 3),
        (np.int64(3), 3),
        (3.0, 3),
        (np.float32(3), 3),
        ("3", 3),
        (pd.NA, 7),
        (1.5, 7),
        ("x", 7),
        (2**60, 7),
    ):
        assert step_of(step, key="loss", next_step=7, warn=said.append) == kept, step
    assert len(said) == 4
    assert said[1] == (
        "metric 'loss' was given the step '1.5', which is no whole number up to 2**53: it is kept as its next one, 7"
    )


def test_a_time_is_kept_in_utc_or_is_that_of_the_call():
    said = []
    for at, kept in (
        (datetime(2013, 3, 2, tzinfo=UTC), datetime(2013, 3, 2, tzinfo=UTC)),
        (pd.Timestamp("2013-03-02", tz="UTC"), datetime(2013, 3, 2, tzinfo=UTC)),
        (datetime(2013, 3, 2), datetime(2013, 3, 2, tzinfo=UTC)),
        ("2013-03-02T00:00:00Z", datetime(2013, 3, 2, tzinfo=UTC)),
        ("yesterday", NOW),
        (object(), NOW),
        (pd.NaT, NOW),
    ):
        assert moment_of(at, key="loss", now=NOW, warn=said.append) == kept
    assert len(said) == 4
