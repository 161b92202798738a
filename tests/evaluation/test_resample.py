"""The vectorised bootstrap computes, for every resample, what scikit-learn computes with those weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from trimtab.evaluation import resample


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10, 80), st.booleans())
def test_weighed_classification_equals_sklearn(seed: int, n: int, tied: bool) -> None:
    random = np.random.default_rng(seed)
    p = np.sort(random.integers(1, 9, n) / 10 if tied else random.random(n))[::-1].copy()
    y = random.random(n) < p
    y[0], y[-1] = True, False
    weights = random.multinomial(n, np.full(n, 1 / n), size=4).T.astype(np.float32)
    weights[[0, -1]] += 1
    found = resample.classification_sample(y, p, at=0.5)(weights)
    for column in range(4):
        w = weights[:, column].astype(float)
        decided = p >= 0.5
        expected = {
            "pr_auc": sk.average_precision_score(y, p, sample_weight=w),
            "log_loss": sk.log_loss(y, p, sample_weight=w),
            "brier": sk.brier_score_loss(y, p, sample_weight=w),
            "accuracy": sk.accuracy_score(y, decided, sample_weight=w),
            "recall": sk.recall_score(y, decided, sample_weight=w),
            "f1": sk.f1_score(y, decided, sample_weight=w),
        }
        for name, value in expected.items():
            assert found[name][column] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_weighed_regression_equals_sklearn() -> None:
    random = np.random.default_rng(4)
    y = random.normal(1000, 3, 200)
    prediction = y + random.normal(0, 2, 200)
    weights = random.multinomial(200, np.full(200, 1 / 200), size=5).T.astype(np.float32)
    found = resample.regression_sample(y, prediction, quantile=0.8)(weights)
    for column in range(5):
        w = weights[:, column].astype(float)
        assert found["rmse"][column] == pytest.approx(
            sk.root_mean_squared_error(y, prediction, sample_weight=w), rel=1e-5
        )
        assert found["mae"][column] == pytest.approx(sk.mean_absolute_error(y, prediction, sample_weight=w), rel=1e-5)
        assert found["r2"][column] == pytest.approx(sk.r2_score(y, prediction, sample_weight=w), rel=1e-4)
        expected = sk.mean_pinball_loss(y, prediction, sample_weight=w, alpha=0.8)
        assert found["pinball"][column] == pytest.approx(expected, rel=1e-5)


def test_a_slice_weighs_its_own_rows() -> None:
    random = np.random.default_rng(8)
    p = np.sort(random.random(50))[::-1].copy()
    y = random.random(50) < p
    rows = np.flatnonzero(np.arange(50) % 3 == 0)
    weights = random.integers(0, 3, (50, 6)).astype(np.float32)
    sliced = resample.classification_sample(y, p, rows, at=0.5)(weights)
    alone = resample.classification_sample(y[rows], p[rows], at=0.5)(weights[rows])
    for name, values in sliced.items():
        np.testing.assert_array_equal(values, alone[name])


def test_the_same_seed_draws_the_same_resamples() -> None:
    samples = [lambda weights: {"sum": weights[:3].sum(axis=0)}]
    first, again, other = (resample.draw(samples, n=500, resamples=40, seed=seed)[0]["sum"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_each_resample_has_as_many_rows_as_there_are() -> None:
    drawn = resample.draw([lambda weights: {"n": weights.sum(axis=0)}], n=1234, resamples=2000, seed=0)[0]["n"]
    assert drawn.shape == (2000,)
    assert (drawn == 1234).all()


def test_very_many_rows_get_fewer_resamples() -> None:
    assert resample.resamples_for(20_000, 1000) == 1000
    assert resample.resamples_for(100_000, 1000) == 400
    assert resample.resamples_for(10_000_000, 1000) == resample.FEWEST_RESAMPLES
    assert resample.resamples_for(10_000_000, 50) == 50


def test_mostly_undefined_resamples_give_no_interval() -> None:
    values = np.array([0.5] * 90 + [np.nan] * 10)
    assert resample.interval(0.5, values, n=100, confidence=0.95) is None
