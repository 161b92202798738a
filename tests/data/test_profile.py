"""A profile says what NumPy says, and counts every value once."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trimtab.data import profile_table


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), max_size=60), st.integers(1, 12))
def test_numbers(values, bins):
    profile = profile_table(pa.table({"x": pa.array(values, pa.float64())}), {"x": "float"}, bins=bins)
    column = profile.column("x")
    present = np.array([v for v in values if v is not None])
    assert (column.rows, column.nulls) == (len(values), len(values) - len(present))
    assert column.distinct == len(np.unique(present))
    if not len(present):
        assert column.min is None
        return
    assert (column.min, column.max) == (present.min(), present.max())
    assert np.isclose(column.mean, present.mean(), rtol=1e-9, atol=1e-6)
    assert sum(column.counts) == len(present)
    assert len(column.edges) == len(column.counts) + 1
    for low, high, count in zip(column.edges, column.edges[1:], column.counts, strict=False):
        inside = (present >= low) & ((present < high) | ((high == column.edges[-1]) & (present <= high)))
        assert inside.sum() == count


def test_the_largest_numbers_have_finite_profiles():
    largest = pa.table({"x": [1.7e308, -1.7e308, 0.0], "n": pa.array([2**62, -(2**63), 2**53 + 1], pa.int64())})
    profile = profile_table(largest, {"x": "float", "n": "int"})
    for column in profile.columns:
        assert np.isfinite([*column.edges, column.mean, column.std]).all()
        assert (column.edges[0], column.edges[-1]) == (column.min, column.max)
        assert sum(column.counts) == 3
    assert msgspec.json.decode(msgspec.json.encode(profile), type=type(profile)) == profile


def test_categories_booleans_times_and_keys():
    start = datetime(2013, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "c": ["b", "a", "b", None],
            "f": [True, None, True, False],
            "t": [start, start + timedelta(days=1), start, None],
            "k": ["1", "2", "3", "3"],
        }
    )
    profile = profile_table(table, {"c": "category", "f": "bool", "t": "time", "k": "key"}, top=1, identity=("k", "c"))
    assert profile.column("c").top == (("b", 2),)
    assert profile.column("c").distinct == 2
    assert profile.column("c").missing == 0.25
    assert profile.column("f").top == (("true", 2),)
    assert profile.column("t").min == start.timestamp()
    assert profile.column("t").max - profile.column("t").min == 86400
    assert profile.column("k").distinct == 3
    assert profile.duplicates == 0
    assert profile.column("nothing") is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, None])), max_size=30))
def test_duplicates_are_rows_that_repeat_an_earlier_one(rows):
    table = pa.table(
        {"a": pa.array([r[0] for r in rows], pa.string()), "b": pa.array([r[1] for r in rows], pa.int64())}
    )
    assert profile_table(table, {}, identity=("a", "b")).duplicates == len(rows) - len(set(rows))


def test_large_integers_are_counted_as_they_are():
    profile = profile_table(pa.table({"x": pa.array([2**60, 2**60 + 1, 2**60 + 1, None])}), {"x": "int"})
    assert profile.column("x").distinct == 2
    assert (profile.column("x").min, profile.column("x").max) == (2**60, 2**60 + 1)
    assert profile.column("x").quantiles["0.5"] == 2**60 + 1
    assert msgspec.json.decode(msgspec.json.encode(profile), type=type(profile)) == profile
    assert type(profile.column("x").max) is int
