"""With partial moments Wasserstein-1 is exact of what moves, spreads, or leaves a constant, and never worse."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.monitoring.test_edges import TAILS, drawn

from trimtab.monitoring.cells import Cells, cells_for
from trimtab.monitoring.counting import count
from trimtab.monitoring.distances import distances, usual, wasserstein
from trimtab.monitoring.partial_moments import partial_moments
from trimtab.monitoring.reference import build_reference, reference_of, to_bytes, without

EXACT = 1e-9
decimals = st.integers(-100_000, 100_000).map(lambda number: number / 1000)  # which are no 32-bit floats
some = st.lists(decimals, min_size=1, max_size=40)


def w1(before: Any, now: Any, kind: Any = "float") -> float:
    before, now = np.asarray(before), np.asarray(now)
    cells = cells_for("x", kind, before)
    partial = partial_moments(cells, before), partial_moments(cells, now)
    return distances(count(cells, before), count(cells, now), cells, partial=partial).w1


def bound_of(cells: Cells, before: np.ndarray, now: np.ndarray) -> float:
    """The stated one: the sum over cells of width times the shares of both in it."""
    inside = slice(1, len(cells.edges))
    both = count(cells, before)[inside] / before.size + count(cells, now)[inside] / now.size
    return float((np.diff(np.array(cells.edges)) * both).sum())


@settings(max_examples=150, deadline=None)
@given(decimals.map(lambda number: number * 1e4), some)
def test_rows_that_leave_a_constant_are_exact_wherever_they_go(value: float, apart: list[float]) -> None:
    now = value + np.array(apart)
    expected = stats.wasserstein_distance(np.full(50, value), now)
    assert w1(np.full(50, value), now) == pytest.approx(expected, rel=EXACT, abs=1e-12 * max(1, abs(value)))


@settings(max_examples=100, deadline=None)
@given(some, st.floats(1e-3, 1e3), st.sampled_from([-1.0, 1.0]))
def test_few_values_that_all_move_are_exact(values: list[float], by: float, side: float) -> None:
    before = np.repeat(values, 3)
    assert w1(before, before + side * by) == pytest.approx(by, rel=EXACT)


@pytest.mark.parametrize("name", [*TAILS, "small"])
def test_a_shift_and_a_growth_of_any_tail_are_exact(name: str) -> None:
    before = drawn(name, 20_000, 1)
    cells = cells_for("x", "float", before)
    middle = cells.edges[cells.middle]
    for moved in (before + 0.3 * before.std(), before - 0.7 * abs(before), middle + 1.5 * (before - middle)):
        assert w1(before, moved) == pytest.approx(stats.wasserstein_distance(before, moved), rel=EXACT)


@settings(max_examples=200, deadline=None)
@given(some, some, st.sampled_from(["float", "int"]))
def test_whatever_changes_it_keeps_within_the_stated_bound(before: list[float], now: list[float], kind: Any) -> None:
    one, other = (np.round(values) if kind == "int" else np.array(values) for values in (before, now))
    cells = cells_for("x", kind, one)
    found, seen = w1(one, other, kind), np.clip(other, cells.edges[0], cells.edges[-1])
    beyond = float(np.abs(other - seen).mean())  # is counted only where it is exact
    bound = bound_of(cells, one, other) + beyond + 1e-9
    assert found == pytest.approx(stats.wasserstein_distance(one, other), abs=bound)
    assert found >= abs(one.mean() - other.mean()) - 1e-9


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [1.7e308, 0.0], [np.inf, 1.0], [-np.inf, np.nan, 1e299]])
def test_numbers_without_an_end_do_not_overflow(values: list[float]) -> None:
    rows = np.tile(values, 50)
    cells = cells_for("x", "float", rows)
    assert np.isfinite(partial_moments(cells, rows)).all()
    assert w1(rows, rows[:12]) == 0.0


def test_the_same_rows_are_no_distance_apart() -> None:
    for name in TAILS:
        rows = drawn(name, 5_000, 3)
        assert w1(rows, np.concatenate((rows[2_500:], rows[:2_500]))) == 0.0


def test_rows_counted_in_parts_are_those_counted_at_once() -> None:
    rows = np.append(drawn("cauchy", 300_000, 1), [np.nan, np.inf, -np.inf])
    cells = cells_for("x", "float", rows[:50_000])
    parts = sum(partial_moments(cells, part) for part in np.array_split(rows, 7))
    ends = [cells.edges[-1], cells.edges[0]]
    known = np.append(rows[np.isfinite(rows)], ends) - cells.edges[cells.middle]
    expected = np.array([-known[known < 0].sum(), known[known > 0].sum()])
    np.testing.assert_allclose(partial_moments(cells, rows), expected, rtol=1e-12)
    np.testing.assert_allclose(parts, expected, rtol=1e-12)
    chunked = pa.chunked_array([pa.array(part, from_pandas=True) for part in np.array_split(rows, 3)])
    np.testing.assert_allclose(partial_moments(cells, chunked), expected, rtol=1e-12)


def test_a_column_of_32_bit_floats_takes_the_same_values_of_clients_for_the_same() -> None:
    before = np.tile(np.array([0.1, 0.3], np.float32), 100)
    assert w1(before, np.tile([0.1, 0.3], 50)) == 0.0
    assert w1(before, np.full(50, 0.9)) == pytest.approx(float(np.float32(0.9)) - before.mean(dtype=np.float64))


@pytest.mark.parametrize("value", [np.inf, 1.7e308])
def test_infinite_values_of_both_signs_are_counted_without_a_word_from_numpy(value: float) -> None:
    rows = np.array([-value, value, 1.0, np.nan] * 50)
    cells = cells_for("x", "float", rows)
    parts = partial_moments(cells, rows)
    assert np.isfinite(parts).all()
    at = pa.array(np.arange(200) % 4 * 86_400_000_000, pa.timestamp("us", tz="UTC"))
    reference = build_reference(pa.table({"x": rows}), kinds={"x": "float"}, prediction=np.full(200, 0.5), at=at)
    np.testing.assert_allclose(reference.tallies[0].partial_total, parts)


def test_categories_and_columns_without_a_value_have_none() -> None:
    for cells, rows in ((cells_for("x", "category", np.array(["a", "b"])), np.array(["a"])),
                        (cells_for("x", "float", np.full(3, np.nan)), np.array([1.0]))):  # fmt: skip
        assert not partial_moments(cells, rows).any()


def test_a_reference_keeps_them_by_block_and_what_was_kept_without_is_still_read() -> None:
    random = np.random.default_rng(0)
    x, days = random.gamma(2, 5, 900), np.repeat(np.arange(9), 100)
    at = pa.array(days * 86_400_000_000, pa.timestamp("us", tz="UTC"))
    reference = build_reference(pa.table({"x": x}), kinds={"x": "float"}, prediction=random.random(900), at=at)
    cells, tally = reference.columns[0], reference_of(to_bytes(reference)).tallies[0]
    assert tally.partial_blocks is not None
    for day in range(9):
        np.testing.assert_allclose(tally.partial_blocks[day], partial_moments(cells, x[days == day]), rtol=1e-12)
    left = without(reference, 2, 5).tallies[0]
    np.testing.assert_allclose(left.partial_total, partial_moments(cells, x[(days < 2) | (days >= 5)]), rtol=1e-12)
    each = [
        stats.wasserstein_distance(np.delete(x, slice(start * 100, start * 100 + 300)), x[start * 100 :][:300])
        for start in range(7)
    ]
    found = usual(tally.blocks, cells, length=3, partial=tally.partial_blocks)
    assert found.w1 == pytest.approx(np.quantile(each, 0.95), rel=0.02)

    old = msgspec.structs.replace(tally, partial=msgspec.UNSET)
    assert old.partial_total is None
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=type(old)).partial is msgspec.UNSET
    now = count(cells, x + 4.0)
    assert wasserstein(old.total, now, cells, partial=(None, np.ones(2))) == wasserstein(old.total, now, cells)
