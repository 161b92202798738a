"""Figures in constant memory, right enough."""

import numpy as np
import pytest

from trimtab.serving.statistics import Histogram, Tally


def test_quantiles_are_right_to_a_few_percent() -> None:
    seconds = np.random.default_rng(0).lognormal(-6, 1, 20_000)
    histogram = Histogram()
    for one in seconds:
        histogram.add(one)
    for share in (0.5, 0.95, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(seconds, share), rel=0.04)
    assert histogram.quantile(1.0) == seconds.max()


def test_what_is_out_of_range_counts_in_the_outermost_bucket() -> None:
    histogram = Histogram()
    for one in (0.0, 1e-9, 1e9):
        histogram.add(one)
    assert histogram.n == 3
    assert histogram.quantile(0.3) is not None
    assert Histogram().quantile(0.5) is None


def test_where_the_clock_stood_still_no_time_was_measured() -> None:
    tally = Tally()
    tally.answered(3, 0.0)
    figures = tally.figures(1, "full")
    assert (figures.requests, figures.p50_s, figures.p99_s, figures.mean_s) == (1, None, None, None)


def test_a_tally_of_nothing_has_no_means() -> None:
    figures = Tally().figures(1, "full")
    assert (figures.requests, figures.p50_s, figures.mean_s, figures.mean_difference) == (0, None, None, None)
