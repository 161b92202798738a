"""Distances from counts agree with their definitions on what is hard: constants, ties, zeros, long tails."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from trimtab.monitoring.cells import Cells, cells_for
from trimtab.monitoring.counting import count
from trimtab.monitoring.distances import distances, shares, valid
from trimtab.monitoring.edges import ATOM_BIN

few = st.sampled_from([-1e9, -7.5, -1.0, -1e-12, 0.0, 0.1, 0.3, 1.0, 2.0, 1e4])
any_number = st.floats(-1e12, 1e12)


def both(before: Any, now: Any, kind: Any = "float") -> tuple[np.ndarray, np.ndarray, Cells]:
    cells = cells_for("x", kind, np.asarray(before))
    return count(cells, np.asarray(before)), count(cells, np.asarray(now)), cells


def ks_of(before: Any, now: Any) -> float:
    with np.errstate(divide="ignore"):  # of the p-value where the samples are one
        return float(stats.ks_2samp(before, now, method="asymp").statistic)


def bins_of(cells: Cells, values: np.ndarray) -> np.ndarray:
    begin = np.array(cells.edges)[list(cells.tenths)]
    return np.bincount(np.searchsorted(begin, values, side="right"), minlength=begin.size + 1) / len(values)


def drawn(name: str, n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng([seed, len(name)])
    signs = np.where(random.random(n) < 0.5, -1.0, 1.0)
    match name:
        case "cauchy":
            return random.standard_cauchy(n)
        case "signed pareto":
            return signs * (1 + random.pareto(1.2, n))
        case "signed pareto of no mean":
            return signs * (1 + random.pareto(0.7, n))
        case "pareto":
            return random.pareto(1.0, n)
        case "lognormal":
            return np.exp(3 * random.normal(size=n))
        case "student":
            return 1e9 * random.standard_t(2, n)
        case "rain":
            return np.where(random.random(n) < 0.97, 0.0, random.gamma(2, 0.05, n))
        case "ties":
            return np.round(random.normal(size=n), 1)
    return random.normal(size=n)


TAILS = ("cauchy", "signed pareto", "signed pareto of no mean", "pareto", "lognormal", "student", "rain", "ties", "")


@settings(max_examples=150, deadline=None)
@given(st.lists(few, min_size=1, max_size=6), st.lists(st.one_of(few, any_number), min_size=1, max_size=40))
def test_ks_of_few_values_that_repeat_is_exact_whatever_comes(values: list[float], window: list[float]) -> None:
    reference = np.repeat(values, 3)
    before, now, cells = both(reference, window)
    expected = ks_of(reference, window)
    assert distances(before, now, cells).ks == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(any_number, min_size=1, max_size=300), st.lists(any_number, min_size=1, max_size=60), st.booleans())
def test_distances_keep_their_bounds(reference: list[float], window: list[float], many: bool) -> None:
    spread = np.random.default_rng(0).normal(size=1_500) if many else np.zeros(0)
    known = np.concatenate((reference, spread))
    before, now, cells = both(known, window)
    found, (p, q) = distances(before, now, cells), (shares(valid(one, cells)) for one in (before, now))
    true = ks_of(known, window)
    assert true - np.minimum(p, q).max() - 1e-12 <= found.ks <= true + 1e-12
    widths = np.diff(np.array(cells.edges))
    beyond = sum(
        np.abs(np.where(side, edge - values, 0.0)).sum() / values.size
        for values in (known, np.array(window))
        for edge, side in ((cells.edges[0], values < cells.edges[0]), (cells.edges[-1], values > cells.edges[-1]))
    )
    bound = (widths * (p + q)[1:-1]).sum() + beyond
    expected = stats.wasserstein_distance(known, window)
    assert found.w1 == pytest.approx(expected, abs=bound + 1e-9 * abs(expected) + 1e-9)


@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("change", [lambda x: x, lambda x: 2 * x, lambda x: -x, lambda x: x + 1])
def test_wasserstein_is_right_to_a_few_percent_on_every_tail(name: str, change: Any) -> None:
    reference, window = drawn(name, 60_000, 1), change(drawn(name, 5_000, 2))
    before, now, cells = both(reference, window)
    found, expected = distances(before, now, cells), stats.wasserstein_distance(reference, window)
    assert found.w1 == pytest.approx(expected, rel=0.03)
    assert found.ks == pytest.approx(ks_of(reference, window), abs=0.005)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (np.full(500, 1.0), np.full(500, 2.0)),
        (np.full(500, 1.0), np.full(500, 1.0 + 1e-6)),
        (np.full(500, 0.0), np.full(500, -0.3)),
        (np.full(500, 1e9), np.full(500, 1e9 + 1e5)),
        (np.full(500, 1.3e12), np.full(500, 1.3e12 + 1)),  # moments, in milliseconds
        (np.full(500, 0.1), np.full(500, 0.1 + 1e-12)),
        (np.full(500, 0.0), np.full(500, 1e6)),
        (np.full(500, -3.0), np.full(500, 3e6)),
        (np.arange(500) % 2.0, np.full(500, 1_000.0)),
        (np.arange(500) % 2.0, np.full(500, -1e-3)),
        (np.arange(500) % 2.0, np.full(500, 0.5)),
        (np.arange(500) % 2.0, np.arange(500) % 2.0 + 3.0),
        (drawn("rain", 20_000, 1), drawn("rain", 2_000, 2) + 0.05),
    ],
)
def test_leaving_a_constant_or_a_frequent_value_is_seen_by_every_distance(before: Any, now: Any) -> None:
    found = distances(*both(before, now))
    assert found.ks == pytest.approx(ks_of(before, now), abs=0.005)
    assert found.w1 == pytest.approx(stats.wasserstein_distance(before, now), rel=0.03)
    assert found.psi > 1
    assert found.js > 0.7


@pytest.mark.parametrize("name", TAILS)
def test_psi_and_jensen_shannon_are_those_of_the_stated_bins(name: str) -> None:
    reference, window = drawn(name, 30_000, 1), 1.5 * drawn(name, 5_000, 2)
    before, now, cells = both(reference, window)
    p, q = bins_of(cells, reference), bins_of(cells, window)
    found = distances(before, now, cells)
    assert found.psi == pytest.approx(((q - p) * np.log((q + 1e-4) / (p + 1e-4))).sum(), rel=1e-9)
    assert found.js == pytest.approx(distance.jensenshannon(p, q, base=2), abs=1e-9)
    begin = np.array(cells.edges)[list(cells.tenths)]
    values, repeats = np.unique(reference, return_counts=True)
    heavy = values[repeats >= ATOM_BIN * reference.size]
    assert set(heavy) <= set(begin)
    assert set(np.nextafter(heavy, np.inf)) <= set(begin)
    assert p[~np.isin(np.concatenate(([-np.inf], begin)), heavy)].max() < 0.12


def test_whole_numbers_are_exact_inside_and_beyond() -> None:
    before, now = np.arange(600) % 3, np.arange(600) % 5 + 2
    found = distances(*both(before, now, "int"))
    assert found.ks == pytest.approx(ks_of(before, now))
    assert found.w1 == pytest.approx(stats.wasserstein_distance(before, now))
    gap = distances(*both(np.repeat([0, 10], 50), np.full(20, 5), "int"))
    assert (gap.ks, gap.w1) == (0.5, 5.0)


@settings(max_examples=150, deadline=None)
@given(st.floats(-2, 30), st.sampled_from([-1.0, 1.0]), st.floats(-12, 5.9), st.sampled_from([-1.0, 1.0]))
def test_wasserstein_of_a_constant_that_moves_is_right_to_3_percent(
    size: float, sign: float, part: float, side: float
) -> None:
    value = sign * 10**size
    moved = value + side * abs(value) * 10**part
    found = distances(*both(np.full(50, value), np.full(50, moved)))
    assert found.w1 == pytest.approx(abs(moved - value), rel=0.03)
    assert found.ks == 1.0


def test_whole_numbers_beyond_2_to_the_53_have_cells_of_their_own() -> None:
    for value in (2**53, 10**17, -(10**18)):
        beside = float(np.nextafter(float(value), math.inf))
        found = distances(*both(np.full(90, float(value)), np.full(90, beside), "int"))
        assert (found.ks, found.w1) == (1.0, pytest.approx(beside - value))
        assert found.psi > 1


def test_infinite_values_are_counted_apart_where_there_are_no_others() -> None:
    for value in (math.inf, -math.inf, 1.7e308):
        before, now, cells = both(np.full(90, value), np.random.default_rng(0).normal(size=90))
        found = distances(before, now, cells)
        assert (found.ks, found.js) == (1.0, pytest.approx(1.0))
        assert distances(before, before, cells).ks == 0.0


def test_categories_beyond_the_named_hide_at_most_their_own_share() -> None:
    random = np.random.default_rng(0)
    names = np.array([f"c{i}" for i in range(3_000)])
    reference, window = names[random.zipf(1.2, 40_000) % 3_000], names[random.zipf(1.3, 9_000) % 3_000]
    cells = cells_for("c", "category", reference)
    before, now = count(cells, reference), count(cells, window)
    assert len(cells.categories) == 1024
    p, q = (np.array([np.count_nonzero(rows == name) for name in names]) / rows.size for rows in (reference, window))
    true, found = np.abs(p - q).sum() / 2, distances(before, now, cells)
    hidden = min(before[cells.unseen] / before.sum(), now[cells.unseen] / now.sum())
    assert true - hidden <= found.ks <= true + 1e-12
    assert found.js <= distance.jensenshannon(p, q, base=2) + 1e-12


def test_a_value_and_the_next_number_lie_apart_in_either_width() -> None:
    cells = cells_for("x", "float", np.full(9, 0.1))
    for width in (np.float32, np.float64):
        value = width(0.1)
        beside = [np.nextafter(value, width(-1)), value, np.nextafter(value, width(1))]
        places = [int(np.flatnonzero(count(cells, np.array([one], width)))[0]) for one in beside]
        assert places[0] < places[1] < places[2]


def test_without_values_there_are_no_edges() -> None:
    assert cells_for("x", "float", np.full(4, math.nan)).edges == ()
