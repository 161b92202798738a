"""Estimates without labels meet the metrics with labels while the model is calibrated, and say what they cannot see."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from trimtab.monitoring.estimate import BLINDNESS, ESTIMATED, NotEstimable, calibrator_of, estimate


def measured(y: np.ndarray, p: np.ndarray, at: float = 0.5) -> dict[str, float]:
    decided = p >= at
    tn, fp, fn, tp = sk.confusion_matrix(y, decided, labels=[False, True]).ravel()
    return {
        "auc": sk.roc_auc_score(y, p),
        "log_loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p),
        "accuracy": sk.accuracy_score(y, decided),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": sk.f1_score(y, decided),
        "selection_rate": decided.mean(),
        "true_positive_rate": tp / (tp + fn),
        "false_positive_rate": fp / (fp + tn),
    }


def test_labels_known_for_certain_give_the_very_metrics() -> None:
    # A calibrator that knows each row's label leaves nothing to chance: the estimate must be scikit-learn's number.
    random = np.random.default_rng(0)
    p = np.round(random.random(300), 2)
    y = np.round(p * 100).astype(int) % 3 == 0
    calibrator = calibrator_of(p, y)
    certain = type(calibrator)(inputs=tuple(sorted(set(p.tolist()))), outputs=tuple(
        float(round(v * 100) % 3 == 0) for v in sorted(set(p.tolist()))
    ))  # fmt: skip
    found = estimate(p, calibrator=certain, at=0.4)
    for name, value in measured(y, p, at=0.4).items():
        assert found.metrics[name].value == pytest.approx(value, rel=1e-9), name
        assert found.metrics[name].low == pytest.approx(value, rel=1e-6), name
        assert found.metrics[name].high == pytest.approx(value, rel=1e-6), name


def test_expected_losses_are_those_of_the_formula() -> None:
    p = np.random.default_rng(1).random(500)
    found = estimate(p).metrics
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert found["log_loss"].value == pytest.approx(entropy, rel=1e-9)
    assert found["brier"].value == pytest.approx((p * (1 - p)).mean(), rel=1e-9)
    assert found["accuracy"].value == pytest.approx(np.maximum(p, 1 - p).mean(), rel=1e-9)


def test_intervals_hold_the_metrics_that_labels_then_show() -> None:
    random = np.random.default_rng(2)
    held = dict.fromkeys(ESTIMATED, 0)
    for _ in range(60):
        p = random.beta(1.2, 3, 800)
        true = measured(random.random(800) < p, p)
        for name, metric in estimate(p).metrics.items():
            held[name] += metric.low - 1e-9 <= true[name] <= metric.high + 1e-9
    assert min(held.values()) >= 0.88 * 60


def test_it_follows_a_change_of_the_inputs_and_is_blind_to_a_change_of_meaning() -> None:
    random = np.random.default_rng(3)
    clear, unclear = random.beta(0.3, 0.9, 5_000), random.beta(3, 9, 5_000)
    assert estimate(unclear).metrics["auc"].value < estimate(clear).metrics["auc"].value - 0.1
    assert measured(random.random(5_000) < unclear, unclear)["auc"] == pytest.approx(
        estimate(unclear).metrics["auc"].value, abs=0.03
    )
    turned = measured(random.random(5_000) < 1 - clear, clear)["auc"]  # the same inputs mean the opposite
    assert estimate(clear).metrics["auc"].value > turned + 0.5
    assert "labels" in BLINDNESS
    assert estimate(clear).blindness == BLINDNESS


def test_a_model_that_exaggerates_is_estimated_right_once_calibrated() -> None:
    random = np.random.default_rng(4)
    true = random.beta(2, 4, 20_000)
    said = true**2 / (true**2 + (1 - true) ** 2)
    y = random.random(20_000) < true
    calibrator = calibrator_of(said[:10_000], y[:10_000])
    believed, corrected = estimate(said[10_000:]), estimate(said[10_000:], calibrator=calibrator)
    real = measured(y[10_000:], said[10_000:])
    for name in ("auc", "log_loss", "accuracy"):
        off = abs(corrected.metrics[name].value - real[name])
        assert off < 0.02, name
        assert off < abs(believed.metrics[name].value - real[name]), name


probabilities = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(probabilities, st.data())
def test_calibration_equals_sklearns_isotonic_regression(p: list[float], data: st.DataObject) -> None:
    y = data.draw(st.lists(st.booleans(), min_size=len(p), max_size=len(p)))
    asked = np.linspace(0, 1, 21)
    expected = IsotonicRegression(out_of_bounds="clip").fit(p, np.array(y, dtype=float)).predict(asked)
    assert calibrator_of(p, y)(asked) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_same_window_gives_the_same_interval() -> None:
    p = np.random.default_rng(5).random(200)
    assert estimate(p, seed=1) == estimate(p, seed=1)


def test_where_nothing_is_decided_precision_is_not_defined() -> None:
    found = estimate(np.full(10, 0.1)).metrics["precision"]
    assert found.value is None
    assert found.low is None
    assert found.why
    assert math.isclose(estimate(np.full(10, 0.1)).metrics["accuracy"].value, 0.9)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(NotEstimable, match="no probabilities"):
        estimate([0.5, 1.2])
    with pytest.raises(NotEstimable, match="shape"):
        estimate([])
    with pytest.raises(NotEstimable, match="labels of shape"):
        calibrator_of([0.5], [0.5])
