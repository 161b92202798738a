"""Any data can be linked, the same values have the same digest, and other values another one."""

import uuid
from collections.abc import Callable
from datetime import datetime, time
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from trimtab.tracking import BadName
from trimtab.tracking.datasets import digest_of_frame


def objects(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Series(values, dtype=object)})


def masked(*mask: int) -> np.ma.MaskedArray:
    return np.ma.array([[1, 2]], mask=[mask])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (objects(1, "a", None), objects(2, "a", None)),
        (objects([1], [2, 3]), objects([1], [2, 4])),
        (objects({"a": 1}), objects({"a": 2})),
        (objects(b"\xff"), objects(b"\xfe")),
        (objects({1, 2}), objects({1, 3})),
        (objects(uuid.UUID(int=1)), objects(uuid.UUID(int=2))),
        (objects("\ud800a"), objects("\ud800b")),
        (objects(10**40, 1), objects(10**40 + 1, 1)),
        (objects(datetime(2024, 1, 1), "x"), objects(datetime(2024, 1, 2), "x")),
        (pd.DataFrame({"a": pd.cut([1, 2, 3], 2)}), pd.DataFrame({"a": pd.cut([1, 2, 9], 2)})),
        (pd.DataFrame({"a": pd.period_range("2024", periods=2, freq="Y")}),
         pd.DataFrame({"a": pd.period_range("2024", periods=2, freq="M")})),
        (pd.DataFrame({"a": [1j]}), pd.DataFrame({"a": [2j]})),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 3]], columns=["a", "a"])),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), pa.table({"a": [2]})),
        (pa.table({"a": [[1]]}), pa.table({"a": [[2]]})),
        (pl.DataFrame({"a": [{"b": 1}]}), pl.DataFrame({"a": [{"b": 2}]})),
        (pl.DataFrame({"a": [time(1)]}), pl.DataFrame({"a": [time(2)]})),
        (pa.table({"a": pa.array([1], pa.time64("ns"))}), pa.table({"a": pa.array([2], pa.time64("ns"))})),
        (pd.DataFrame({"a": pd.to_datetime(["2024-07-01"])}),
         pd.DataFrame({"a": pd.to_datetime(["2024-07-01"], utc=True)})),
        (pl.DataFrame({"a": pl.Series([2**100], dtype=pl.Int128)}),
         pl.DataFrame({"a": pl.Series([2**100 + 1], dtype=pl.Int128)})),
        (masked(0, 0), masked(0, 1)),
        (np.zeros((2, 2, 2)), np.zeros((2, 4))),
        (np.array([[1 + 1j]]), np.array([[1 + 2j]])),
        (np.array([(1, 2.0)], dtype="i4,f4"), np.array([(1, 3.0)], dtype="i4,f4")),
        (sparse.csr_matrix(np.eye(2)), sparse.csr_matrix(np.eye(3)[:2])),
        (np.array([[1, "a"]], dtype=object), np.array([[1, "b"]], dtype=object)),
    ],
)  # fmt: skip
def test_any_data_has_a_digest_of_its_values(one: Any, other: Any) -> None:
    assert digest_of_frame(one)[0] == digest_of_frame(one)[0]
    assert digest_of_frame(one)[0] != digest_of_frame(other)[0]
    assert digest_of_frame(one)[1] == len(one) if not sparse.issparse(one) else one.shape[0]


@pytest.mark.parametrize(
    "same",
    [
        [pd.Series([1, 2]), pl.Series([1, 2]), np.array([1, 2]), [1, 2], pd.DataFrame({"x0": [1, 2]})],
        [objects([1], [2, 3]), pl.DataFrame({"a": [[1], [2, 3]]}), pa.table({"a": [[1], [2, 3]]})],
        [objects({"b": 1}), pl.DataFrame({"a": [{"b": 1}]}), pa.table({"a": [{"b": 1}]})],
        [objects(1, "a", None), pl.DataFrame({"a": pl.Series([1, "a", None], dtype=pl.Object)})],
        [pd.DataFrame({"a": [1, 2]}, dtype="category"), pd.DataFrame({"a": [1, 2]})],
        [pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), pd.DataFrame({"a": [0, 1]})],
        [np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], np.ma.array([[1, 2], [3, 4]])],
        [sparse.csr_matrix(np.eye(2)), sparse.coo_matrix(np.eye(2)), sparse.csc_array(np.eye(2))],
        [np.array([[0.0]]), np.array([[-0.0]])],
        [pd.DataFrame({"a": [np.nan]}), pd.DataFrame({"a": [pd.NaT]}), pl.DataFrame({"a": [None]}), objects(None)],
        [pd.DataFrame({"a": []}), pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)}), pa.table({"a": pa.nulls(0)})],
        [objects(time(1), None), pl.DataFrame({"a": [time(1), None]}), pa.table({"a": [time(1), None]})],
        [
            pd.DataFrame({"a": pd.to_datetime(["2024-07-01"]).tz_localize("UTC")}),
            pd.DataFrame({"a": pd.to_datetime(["2024-07-01 02:00"]).tz_localize("Europe/Berlin")}),
            pl.DataFrame({"a": pl.Series([datetime(2024, 7, 1)]).dt.replace_time_zone("UTC")}),
        ],
    ],
)
def test_the_same_values_have_one_digest(same: list[Any]) -> None:
    assert len({digest_of_frame(one) for one in same}) == 1


CARRIERS: list[Callable[[list[Any]], Any]] = [
    lambda values: pd.DataFrame({"a": pd.Series(values, dtype=object)}),
    lambda values: pl.DataFrame({"a": pl.Series(values, dtype=pl.Object)}),
    lambda values: np.array([(value,) for value in values], dtype=[("a", object)]),
]
VALUES = st.integers(-(2**70), 2**70) | st.text(max_size=3) | st.booleans() | st.binary(max_size=2)


@settings(max_examples=60)
@given(values=st.lists(st.lists(VALUES, max_size=2) | VALUES, min_size=1, max_size=4))
def test_values_of_several_types_are_the_same_in_every_frame(values: list[Any]) -> None:
    mixed = [*values, None, "x", 1, [2]]
    assert len({digest_of_frame(carry(mixed)) for carry in CARRIERS}) == 1


@pytest.mark.parametrize("thing", [None, 5, object(), (n for n in (1, 2)), np.array(1), (np.ones((2, 2)), np.ones(2))])
def test_what_holds_no_rows_is_no_dataset(thing: Any) -> None:
    with pytest.raises(BadName, match="is no dataset") as caught:
        digest_of_frame(thing)
    assert all(caught.value.parts().values())
