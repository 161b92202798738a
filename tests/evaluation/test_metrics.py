"""Every metric equals scikit-learn's to 1e-9, ties and skewed classes included, and is NaN where it is not defined."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from trimtab.evaluation import metrics

RELATIVE = 1e-9

probabilities = st.one_of(
    st.floats(0, 1, allow_nan=False), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000000000000001, 0.75, 1.0])
)


@st.composite
def two_classes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 60))
    p = np.array(draw(st.lists(probabilities, min_size=n, max_size=n)))
    y = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    y[0], y[1] = True, False
    return y, p


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def two_columns(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(2, 60))
    column = st.lists(numbers, min_size=n, max_size=n)
    return np.array(draw(column)), np.array(draw(column))


@settings(max_examples=200, deadline=None)
@given(two_classes())
def test_classification_equals_sklearn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = rows
    decided = p >= 0.5
    tn, fp, fn, tp = sk.confusion_matrix(y, decided, labels=[False, True]).ravel()
    expected = {
        "auc": sk.roc_auc_score(y, p),
        "pr_auc": sk.average_precision_score(y, p),
        "log_loss": sk.log_loss(y, p, labels=[False, True]),
        "brier": sk.brier_score_loss(y, p),
        "accuracy": sk.accuracy_score(y, decided),
        "precision": sk.precision_score(y, decided, zero_division=np.nan),
        "recall": sk.recall_score(y, decided),
        "f1": sk.f1_score(y, decided),
        "selection_rate": (tp + fp) / y.size,
        "true_positive_rate": tp / (tp + fn),
        "false_positive_rate": fp / (fp + tn),
    }
    for name, value in expected.items():
        assert metrics.value_of(name, y, p) == pytest.approx(value, rel=RELATIVE, abs=1e-12, nan_ok=True), name
        alone = getattr(metrics, name)(y, p)
        assert alone == pytest.approx(value, rel=RELATIVE, abs=1e-12, nan_ok=True), name


@settings(max_examples=100, deadline=None)
@given(two_classes(), st.floats(0, 1))
def test_decisions_follow_the_threshold(rows: tuple[np.ndarray, np.ndarray], at: float) -> None:
    y, p = rows
    decided = p >= at
    assert metrics.accuracy(y, p, at=at) == pytest.approx(sk.accuracy_score(y, decided), rel=RELATIVE)
    assert metrics.value_of("recall", y, p, at=at) == pytest.approx(sk.recall_score(y, decided), rel=RELATIVE)


@settings(max_examples=100, deadline=None)
@given(two_columns(), st.floats(0.01, 0.99))
def test_regression_equals_sklearn(rows: tuple[np.ndarray, np.ndarray], quantile: float) -> None:
    y, prediction = rows
    assert metrics.rmse(y, prediction) == pytest.approx(sk.root_mean_squared_error(y, prediction), rel=RELATIVE)
    assert metrics.mae(y, prediction) == pytest.approx(sk.mean_absolute_error(y, prediction), rel=RELATIVE)
    assert metrics.pinball(y, prediction, quantile=quantile) == pytest.approx(
        sk.mean_pinball_loss(y, prediction, alpha=quantile), rel=1e-7, abs=1e-9
    )
    # A sum of squares that underflows to zero is a label that does not vary; sklearn then has its own convention.
    if np.ptp(y) > 1e-100:
        assert metrics.r2(y, prediction) == pytest.approx(sk.r2_score(y, prediction), rel=RELATIVE)


def test_large_sample_with_ties_equals_sklearn() -> None:
    random = np.random.default_rng(5)
    p = random.integers(0, 300, 20_000) / 299
    y = random.random(20_000) < p
    assert metrics.auc(y, p) == pytest.approx(sk.roc_auc_score(y, p), rel=RELATIVE)
    assert metrics.pr_auc(y, p) == pytest.approx(sk.average_precision_score(y, p), rel=RELATIVE)
    assert metrics.log_loss(y, p) == pytest.approx(sk.log_loss(y, p), rel=RELATIVE)


def test_calibration_error_weighs_sklearns_bins() -> None:
    from sklearn.calibration import calibration_curve

    random = np.random.default_rng(6)
    p = random.beta(2, 5, 5_000)
    y = random.random(5_000) < p**1.3
    observed, predicted = calibration_curve(y, p, n_bins=metrics.CALIBRATION_BINS, strategy="quantile")
    expected = np.mean(np.abs(observed - predicted))  # equal mass: every bin weighs the same
    assert metrics.calibration_error(y, p) == pytest.approx(expected, rel=RELATIVE)


def test_calibration_error_of_equal_predictions_is_their_distance_from_the_rate() -> None:
    y = np.array([True] * 3 + [False] * 7)
    assert metrics.calibration_error(y, np.full(10, 0.5)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "y", "p"),
    [
        ("auc", [True, True], [0.1, 0.9]),
        ("pr_auc", [False, False], [0.1, 0.9]),
        ("recall", [False, False], [0.1, 0.9]),
        ("false_positive_rate", [True, True], [0.1, 0.9]),
        ("precision", [True, False], [0.1, 0.2]),
        ("f1", [False, False], [0.1, 0.2]),
        ("log_loss", [], []),
        ("brier", [], []),
        ("calibration_error", [], []),
        ("accuracy", [], []),
    ],
)
def test_undefined_is_nan(name: str, y: list[bool], p: list[float]) -> None:
    assert math.isnan(metrics.value_of(name, np.array(y, dtype=bool), np.array(p, dtype=float)))


def test_r2_of_a_constant_label_is_nan() -> None:
    assert math.isnan(metrics.r2(np.ones(5), np.arange(5.0)))
    assert math.isnan(metrics.r2(np.full(3, 0.1), np.arange(3.0)))  # whose mean is not 0.1


def test_every_metric_has_a_direction() -> None:
    known = {*metrics.CLASSIFICATION, *metrics.REGRESSION}
    assert known > metrics.LOWER_IS_BETTER
    assert known > metrics.NEITHER_IS_BETTER
    assert not metrics.LOWER_IS_BETTER & metrics.NEITHER_IS_BETTER


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_direction_is_that_of_a_perfect_model(task: str) -> None:
    """A metric is better in the direction in which a perfect model is; where that is neither, it has none."""
    random = np.random.default_rng(2)
    y = random.random(200) < 0.4 if task == "classification" else random.normal(size=200)
    perfect = np.asarray(y, np.float64)
    poor = random.random(200) if task == "classification" else random.normal(size=200)
    for name in metrics.metrics_of(task):  # type: ignore[arg-type]
        measure = getattr(metrics, name)
        extra = {"quantile": 0.5} if name == "pinball" else {}
        difference = measure(y, perfect, **extra) - measure(y, poor, **extra)
        if name in metrics.NEITHER_IS_BETTER:
            assert metrics.direction_of(name) is None
        else:
            assert metrics.direction_of(name) == ("higher" if difference > 0 else "lower"), name


@pytest.mark.parametrize("name", ["loss", "log_loss_2", "LOG_LOSS", "", "my auc", "lossless"])
def test_a_name_that_is_not_ours_has_no_direction(name: str) -> None:
    assert metrics.direction_of(name) is None
