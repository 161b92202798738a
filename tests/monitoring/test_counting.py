"""Counting many rows through the table gives the very counts of a binary search, and threads change nothing."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.monitoring import counting
from trimtab.monitoring.cells import cells_for, place
from trimtab.monitoring.counting import count, count_table

ROWS = 60_000


def columns() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    normal = random.normal(size=ROWS)
    return {
        "normal": normal,
        "float32": normal.astype(np.float32),
        "nulls": np.where(random.random(ROWS) < 0.1, np.nan, normal),
        "infinite": np.where(random.random(ROWS) < 0.01, -np.inf, normal),
        "infinite above": np.where(random.random(ROWS) < 0.01, np.inf, np.exp(3 * normal)),
        "heavy": np.exp(2 * normal),
        "heavy with zeros": np.where(random.random(ROWS) < 0.3, 0.0, np.exp(3 * normal)),
        "heavy in 32 bits": np.exp(2 * normal).astype(np.float32),
        "heavy and below zero": np.where(random.random(ROWS) < 0.1, -np.exp(2 * normal), np.exp(2 * normal)),
        "heavy with nulls": np.where(random.random(ROWS) < 0.1, -np.nan, np.exp(2 * normal)),
        "integers": random.integers(0, 300, ROWS).astype(float),
        "prices": random.integers(0, 900, ROWS) / 100,
        "scattered": np.concatenate((normal[: ROWS // 2], 1e9 + normal[ROWS // 2 :])),
        "moments": 1.7e18 + 1e12 * normal,
        "tiny": 1e-310 * random.integers(1, 5, ROWS),
        "constant": np.full(ROWS, 3.5),
        "zeros": np.where(random.random(ROWS) < 0.6, 0.0, normal),
    }


@pytest.mark.parametrize("name", columns())
def test_the_table_counts_as_the_search_does(name: str) -> None:
    values = columns()[name]
    cells = cells_for(name, "float", values[: ROWS // 3])
    expected = np.bincount(place(cells, values), minlength=cells.size)
    assert (count(cells, values) == expected).all()
    beside = np.nextafter(np.array(cells.edges, dtype=values.dtype), values.dtype.type(-1e30))
    for some in (-values, beside, np.array(cells.edges, dtype=values.dtype)):
        many = np.resize(some, ROWS)
        assert (count(cells, many) == np.bincount(place(cells, many), minlength=cells.size)).all()
    assert (count(cells, pa.array(values, from_pandas=True)) == expected).all()
    halves = pa.chunked_array([pa.array(values[: ROWS // 2]), pa.array(values[ROWS // 2 :])])
    assert (count(cells, halves) == expected).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30, unique=True),
    st.sampled_from([1e-300, 1e-3, 1.0, 7.3, 1e28]),
    st.sampled_from([np.float32, np.float64]),
)
def test_values_at_and_beside_an_edge_fall_where_they_belong(edges: list[float], scale: float, width: Any) -> None:
    cells = cells_for("x", "float", np.array(edges) * scale)
    near = np.array(cells.edges).astype(width)
    near = np.concatenate((near, np.nextafter(near, width(-np.inf)), np.nextafter(near, width(np.inf)), [np.nan]))
    near = near[~(np.abs(near) < 1e-30) | (near == 0)]
    values = np.resize(near, counting._FEW + 1).astype(width)
    assert (count(cells, values) == np.bincount(place(cells, values), minlength=cells.size)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["normal", "three values", "constant"]),
    st.floats(-12, 12),
    st.floats(-17, 1),
    st.sampled_from([-1.0, 1.0]),
    st.sampled_from([np.float32, np.float64]),
)
def test_columns_far_from_0_and_infinite_values_are_counted_as_the_search_does(
    shape: str, size: float, part: float, sign: float, width: Any
) -> None:
    """An air pressure, a moment: what varies is a small part of the number, down to its last bits."""
    random = np.random.default_rng(0)
    middle, rows = sign * 10**size, counting._FEW + 1
    drawn = {"normal": random.normal(size=rows), "three values": random.integers(0, 3, rows), "constant": 0.0}[shape]
    known = (middle + abs(middle) * 10**part * drawn + np.zeros(rows)).astype(width)
    cells = cells_for("x", "float", known)
    edges = cells.edges_as(np.dtype(width))
    beside = np.nextafter(edges, width(-np.inf))
    beside = beside[np.abs(beside) > 1e-30]
    some = np.concatenate((edges, beside, [np.inf, -np.inf, np.nan, 0.0]), dtype=width)
    for values in (known, random.choice(some, rows), np.full(rows, np.inf, width)):
        assert (count(cells, values) == np.bincount(place(cells, values), minlength=cells.size)).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_table_is_counted_column_by_column(threads: int) -> None:
    values = columns()
    texts = pa.array([f"c{i % 7}" for i in range(ROWS)])
    table = {**values, "text": texts}
    cells = [cells_for(name, "float", column) for name, column in values.items()]
    cells.append(cells_for("text", "category", texts))
    found = count_table(cells, table, threads=threads)
    assert list(found) == list(table)
    assert all((found[one.name] == count(one, table[one.name])).all() for one in cells)
    assert {int(counts.sum()) for counts in found.values()} == {ROWS}


def test_no_rows_count_nothing() -> None:
    cells = cells_for("x", "float", np.arange(5.0))
    assert count_table([cells], pa.table({"x": pa.array([], pa.float64())}))["x"].tolist() == [0] * cells.size
    assert count(cells, pa.chunked_array([], pa.float64())).sum() == 0
