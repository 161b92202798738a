"""Influence is 0 for what a model does not use and 1 for all that it uses; two measures, one unit."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from trimtab.monitoring.cells import cells_for, place
from trimtab.monitoring.influence import association_influence, mean_difference, permuted_influence


def rows(n: int = 6_000) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table(
        {
            "strong": random.normal(size=n),
            "weak": random.normal(size=n),
            "idle": random.normal(size=n),
            "group": random.choice(["a", "b", "c"], n),
        }
    )


def test_mean_difference_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    values = random.exponential(size=60)
    assert mean_difference(values, np.ones(60)) == pytest.approx(np.abs(values[:, None] - values).mean(), rel=1e-9)
    weights = random.integers(1, 5, 60).astype(float)
    repeated = np.repeat(values, weights.astype(int))
    assert mean_difference(values, weights) == pytest.approx(np.abs(repeated[:, None] - repeated).mean(), rel=1e-9)
    assert mean_difference(np.array([]), np.array([])) == 0.0


def test_redrawing_a_column_shows_what_a_model_uses() -> None:
    frame = rows()

    def predict(some: pa.Table) -> np.ndarray:
        return 3 * some["strong"].to_numpy() + 0.3 * some["weak"].to_numpy()

    found = permuted_influence(predict, frame, columns=frame.column_names, seed=1)
    assert found["idle"] == found["group"] == 0.0
    assert 0.95 < found["strong"] <= 1.0
    assert 0.05 < found["weak"] < 0.15
    assert found == permuted_influence(predict, frame, columns=frame.column_names, seed=1)
    alone = permuted_influence(lambda some: some["weak"].to_numpy(), frame, columns=["weak"], seed=1)
    assert alone["weak"] == pytest.approx(1.0, abs=0.05)


def test_a_model_that_always_answers_the_same_is_influenced_by_nothing() -> None:
    frame = rows(100)
    assert permuted_influence(lambda some: np.zeros(some.num_rows), frame, columns=["weak"], seed=0) == {"weak": 0.0}


def test_both_measures_agree_on_a_real_model() -> None:
    frame = rows()
    names = ["strong", "weak", "idle"]
    inputs = np.column_stack([frame[name].to_numpy() for name in names])
    y = inputs @ [2.0, 0.5, 0.0] + np.random.default_rng(1).logistic(size=len(inputs)) > 0
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(inputs, y)

    def predict(some: pa.Table) -> np.ndarray:
        return model.predict_proba(np.column_stack([some[name].to_numpy() for name in names]))[:, 1]

    permuted = permuted_influence(predict, frame, columns=names, seed=1)
    answered = predict(frame)
    for name in names:
        cells = cells_for(name, "float", frame[name])
        associated = association_influence(cells, place(cells, frame[name]), answered)
        assert associated == pytest.approx(permuted[name], abs=0.12), name


def test_a_category_and_nulls_have_influence() -> None:
    frame = rows()
    prediction = np.where(np.asarray(frame["group"]) == "a", 1.0, 0.0)
    cells = cells_for("group", "category", frame["group"])
    assert association_influence(cells, place(cells, frame["group"]), prediction) == pytest.approx(1.0, abs=0.05)
    missing = np.where(prediction > 0, np.nan, frame["idle"].to_numpy())
    cells = cells_for("idle", "float", missing)
    assert association_influence(cells, place(cells, missing), prediction) == pytest.approx(1.0, abs=0.05)
