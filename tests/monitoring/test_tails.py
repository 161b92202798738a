"""Tails equal scipy's; the bound for rare shares is one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trimtab.monitoring.tails import benjamini_hochberg, chernoff, student


@pytest.mark.parametrize("freedom", [0.5, 1, 2, 3, 7.4, 29, 59, 365])
@pytest.mark.parametrize("t", [0.0, 1e-9, 0.001, 0.5, 1.0, 2.0, 4.0, 6.0, 10.0, 40.0, 1e4, -3.0])
def test_student_equals_scipy(t: float, freedom: float) -> None:
    assert student(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9)


def test_without_freedom_nothing_is_unusual() -> None:
    assert student(100.0, 0.0) == 1.0
    assert student(float("nan"), 5.0) == 1.0
    assert student(float("inf"), 5.0) == 0.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_benjamini_hochberg_equals_scipy(p: list[float]) -> None:
    found = benjamini_hochberg(np.array(p))
    assert found == pytest.approx(stats.false_discovery_control(p), rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2_000), st.floats(1e-6, 0.999999), st.data())
def test_the_bound_is_never_below_the_binomial_tail(n: int, expected: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    tail = stats.binom.sf(k - 1, n, expected) if k >= n * expected else stats.binom.cdf(k, n, expected)
    assert chernoff(n, k / n, expected) >= min(1.0, tail) * (1 - 1e-9)
