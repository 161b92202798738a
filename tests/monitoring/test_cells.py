"""Cells hold every value exactly once, whatever the kind, the width and the library that the values come from."""

import math

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.monitoring.cells import Cells, NotCountable, as_counted, cells_for, place
from trimtab.monitoring.counting import count
from trimtab.monitoring.distances import distances

numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e300]))


def test_few_values_have_an_edge_each() -> None:
    cells = cells_for("hour", "int", np.array([3, 1, 2, 3, 3]))
    assert cells.points
    assert {1.0, 2.0, 3.0} < set(cells.edges)
    assert min(cells.edges) < -9 < 9 < max(cells.edges)  # where later values may lie
    found = count(cells, np.array([-1, 1, 2, 2, 3, 9]))
    assert sorted(found[found > 0].tolist()) == [1, 1, 1, 1, 2]


def test_many_values_have_at_most_so_many_cells_and_none_holds_much() -> None:
    random = np.random.default_rng(0)
    for values in (random.normal(size=50_000), random.exponential(size=50_000), np.exp(2 * random.normal(size=50_000))):
        cells = cells_for("x", "float", values)
        assert not cells.points
        assert 500 < len(cells.edges) < 1024
        assert count(cells, values).max() < 0.01 * values.size


def test_edges_hold_the_deciles() -> None:
    values = np.random.default_rng(0).normal(size=50_000)
    cells = cells_for("x", "float", values)
    deciles = np.array(cells.edges)[list(cells.tenths)]
    assert deciles == pytest.approx(np.quantile(values, np.arange(1, 10) / 10), abs=1e-3)


def test_a_window_may_leave_the_range_of_the_reference() -> None:
    values = np.random.default_rng(0).normal(size=50_000)
    cells = cells_for("x", "float", values)
    shifted = count(cells, values + 2.0)
    assert shifted[-2] < 0.02 * values.size  # the grid goes on beyond the reference; what is above it is one cell
    assert count(cells, np.array([math.inf, -math.inf, math.nan])).nonzero()[0].tolist() == [
        0, len(cells.edges), len(cells.edges) + 1,
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=50), st.lists(numbers, max_size=50))
def test_a_cell_is_the_number_of_edges_at_or_below(reference: list[float], window: list[float]) -> None:
    cells = cells_for("x", "float", np.array(reference))
    expected = [cells.size - 1 if math.isnan(value) else sum(edge <= value for edge in cells.edges) for value in window]
    assert place(cells, np.array(window, dtype=float)).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=200), st.lists(numbers, max_size=50), st.lists(numbers, max_size=50))
def test_merging_is_addition(reference: list[float], first: list[float], second: list[float]) -> None:
    cells = cells_for("x", "float", np.array(reference), at_most=64)
    together = count(cells, np.array(first + second, dtype=float))
    assert (together == count(cells, np.array(first, dtype=float)) + count(cells, np.array(second, dtype=float))).all()


def test_a_value_is_in_the_same_cell_in_either_width() -> None:
    values = np.array([0.1, 0.3, 0.7, 19.99, 1e-9])
    cells = cells_for("price", "float", values)
    assert (count(cells, values.astype(np.float32)) == count(cells, values)).all()
    assert (count(cells, pa.array(values, pa.float32())) == count(cells, values)).all()


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("rows", [1, 3000])
def test_a_column_of_32_bits_meets_the_values_that_clients_write(wide: bool, rows: int) -> None:
    values = np.array([0.1, 0.2, 0.7] * 1000, np.float32)
    cells = cells_for("x", "float", values.astype(np.float64) if wide else values)
    expected = count(cells, values)
    for written in (np.float64([0.1, 0.2, 0.7]), np.float64([0.1000000015, 0.2000000030, 0.6999999881])):
        assert (count(cells, np.tile(written, 1000)) == expected).all()
        assert (count(cells, written[:rows]) == count(cells, values[: min(rows, 3)])).all()
    assert distances(expected, count(cells, np.tile([0.1, 0.2, 0.71], 1000)), cells).ks == pytest.approx(1 / 3)


@pytest.mark.parametrize("value", [0.1, 0.5, 1e9, 123456792.0, 2.0**40, 1e200])
def test_numbers_that_happen_to_fit_32_bits_are_told_apart_as_they_are(value: float) -> None:
    cells = cells_for("x", "float", np.full(100, value))
    assert cells.is_single is msgspec.UNSET
    assert (count(cells, np.full(100, np.nextafter(value, np.inf))) != count(cells, np.full(100, value))).any()


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["b", "a", None, "b", "c"]),
        pa.array(["b", "a", None, "b", "c"]).dictionary_encode(),
        pa.chunked_array([["b", "a"], [None, "b", "c"]]),
        pa.chunked_array([["b", "a"], [None, "b", "c"]]).dictionary_encode(),
        np.array(["b", "a", None, "b", "c"], dtype=object),
        np.array(["b", "a", math.nan, "b", "c"], dtype=object),
    ],
)
def test_categories_are_counted_from_any_library(values: object) -> None:
    cells = cells_for("carrier", "category", pa.array(["a", "b", "b", None]))
    assert cells.categories == ("b", "a")
    assert count(cells, values).tolist() == [2, 1, 1, 1]


def test_categories_beyond_the_most_frequent_are_unseen_in_the_reference_too() -> None:
    values = pa.array([f"v{i}" for i in range(30) for _ in range(i + 1)])
    cells = cells_for("tail", "category", values, at_most=10)
    assert cells.categories[0] == "v29"
    assert cells.unseen == 10
    assert count(cells, values)[cells.unseen] == sum(range(1, 21))


@pytest.mark.parametrize(
    "values",
    [
        [True, False, True, None],
        ["true", "false", "true", None],
        [1.0, 0.0, 1.0, None],
        [1, 0, 1, None],
        [True, 0.0, 1, None],
        [1.0, 0.0, 1.0, math.nan],
    ],
)
def test_bools_are_false_true_unseen_null(values: list[object]) -> None:
    cells = cells_for("paid", "bool", pa.array([True]))
    assert count(cells, as_counted(cells, values)).tolist() == [1, 2, 0, 1]
    assert count(cells, as_counted(cells, [*values, 2.0]))[cells.unseen] == 1


@pytest.mark.parametrize("values", [[7, 8, None], [7.0, 8.0, math.nan], ["7", 8.0, None], ["7", "8", None]])
def test_a_category_has_one_spelling(values: list[object]) -> None:
    cells = cells_for("gate", "category", pa.array([7, 8]))
    assert count(cells, as_counted(cells, values)).tolist() == [1, 1, 0, 1]


def test_numbers_as_categories_keep_their_spelling() -> None:
    cells = cells_for("gate", "category", np.array([7, 7, 8]))
    assert cells.categories == ("7", "8")
    assert count(cells, pa.array([7, 8, 9])).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("kind", ["float", "int", "category", "bool"])
def test_a_column_of_nulls_has_cells(kind: str) -> None:
    empty = pa.array([None, None], pa.float64() if kind in ("float", "int") else pa.string())
    cells = cells_for("x", kind, empty)
    assert count(cells, empty).tolist() == [0] * (cells.size - 1) + [2]
    assert isinstance(cells, Cells)


def test_decimals_and_integers_with_nulls_are_numbers() -> None:
    cells = cells_for("n", "int", pa.array([1, None, 2]))
    one, two = place(cells, np.array([1, 2]))
    assert count(cells, pa.array([1, None, 2, 2]))[[one, two, -1]].tolist() == [1, 2, 1]
    assert count(cells, [1, 2])[[one, two, -1]].tolist() == [1, 1, 0]


def test_text_in_a_number_is_refused() -> None:
    cells = cells_for("n", "int", pa.array([1, 2]))
    with pytest.raises(NotCountable, match="column n holds values that are no numbers"):
        count(cells, pa.array(["one"]))
    with pytest.raises(NotCountable):
        count(cells, np.array(["one"]))
    with pytest.raises(NotCountable, match="no categories"):
        cells_for("c", "category", pa.array([[1], [2]]))
