"""The fast path of gradient boosting: the same numbers to the last bit, or the public path."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tests.serving.late import INPUTS, history, plain

from trimtab.serving import Input
from trimtab.serving.runtimes import Rows
from trimtab.serving.sklearn_runtime import SklearnRuntime

FAST = "scikit-learn, trees at once"
NUMBERS = tuple(column for column in INPUTS if column.kind != "category")


def fitted(model: Any, target: Any, columns: tuple[Input, ...] = INPUTS) -> Any:
    frame, _ = history(300, seed=4)
    return model.fit(frame[[c.name for c in columns]], target(frame))


def late(frame: pd.DataFrame) -> Any:
    return (frame["scheduled_hour"] + (frame["carrier"] == "B6") * 6 > 14).to_numpy().astype(int)


def thirds(frame: pd.DataFrame) -> Any:
    return np.array(["early", "on time", "late"])[(frame["scheduled_hour"] // 8).astype(int)]


def minutes(frame: pd.DataFrame) -> Any:
    return frame["scheduled_hour"].to_numpy() * 3 + frame["distance"].to_numpy() / 1000


def nasty(columns: tuple[Input, ...] = INPUTS) -> Rows:
    """Rows with every category, unseen ones, and missing values everywhere."""
    frame, _ = history(200, seed=8)
    rows = plain(frame[[c.name for c in columns]])
    for place, column in enumerate(columns):
        missing = list(rows[0])
        missing[place] = None
        rows.append(missing)
        for text in (*column.categories, "never seen", "") if column.kind == "category" else ():
            row = list(rows[1])
            row[place] = text
            rows.append(row)
    rows.append([None] * len(columns))
    rows.append([float("nan") if c.kind != "category" else None for c in columns])
    return Rows(rows)


CASES = [
    (HistGradientBoostingClassifier(max_iter=9, categorical_features="from_dtype"), late, INPUTS),
    (HistGradientBoostingClassifier(max_iter=9, categorical_features=["carrier", "origin"]), late, INPUTS),
    (HistGradientBoostingClassifier(max_iter=1, categorical_features="from_dtype"), late, INPUTS),
    (HistGradientBoostingClassifier(max_iter=7, categorical_features="from_dtype"), thirds, INPUTS),
    (HistGradientBoostingClassifier(max_iter=7), late, NUMBERS),
    (HistGradientBoostingClassifier(max_iter=7), thirds, NUMBERS),
    (HistGradientBoostingRegressor(max_iter=9, categorical_features="from_dtype"), minutes, INPUTS),
    (HistGradientBoostingRegressor(max_iter=9, loss="poisson"), minutes, NUMBERS),
    (HistGradientBoostingRegressor(max_iter=9, loss="gamma"), lambda frame: minutes(frame) + 1, NUMBERS),
    (HistGradientBoostingRegressor(max_iter=9, loss="absolute_error"), minutes, NUMBERS),
]


@pytest.mark.parametrize(("model", "target", "columns"), CASES)
@pytest.mark.parametrize("at_once", [0, 10**9])
def test_the_fast_path_gives_the_same_bits(
    model: Any, target: Any, columns: tuple[Input, ...], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.serving.forest.WALKS_AT_ONCE", at_once)
    model = fitted(model, target, columns)
    rows = nasty(columns)
    runtime = SklearnRuntime(model, columns, sample=rows[:30])
    assert runtime.name == FAST

    expected = SklearnRuntime(model, columns, sample=rows[:30])
    expected._forest = None
    for part in (rows, rows[:1], rows[-1:], rows[3:40]):
        fast, public = runtime.predict(part), expected.predict(part)
        assert fast.keys() == public.keys()
        for name in fast:
            np.testing.assert_array_equal(fast[name], public[name])


def test_the_public_path_is_what_anybody_would_call() -> None:
    frame, _ = history(50, seed=6)
    model = fitted(*CASES[0][:2])
    runtime = SklearnRuntime(model, INPUTS, sample=Rows(plain(frame)))
    found = runtime.predict(Rows(plain(frame)))
    np.testing.assert_array_equal(found["probability"], model.predict_proba(frame)[:, 1])
    np.testing.assert_array_equal(found["label"], model.predict(frame))
    assert [(o.name, o.datatype, o.shape) for o in runtime.outputs] == [
        ("probability", "FP64", ()), ("label", "INT64", ()),
    ]  # fmt: skip


def test_a_path_that_differs_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab.serving import forest

    model = fitted(*CASES[0][:2])
    real = forest.Forest.predict
    monkeypatch.setattr(forest.Forest, "predict", lambda self, rows: real(self, rows) + 1e-16)
    runtime = SklearnRuntime(model, INPUTS, sample=nasty()[:20])
    assert runtime.name == "scikit-learn"
    assert len(runtime.predict(nasty())["label"]) == len(nasty())


@pytest.mark.parametrize("hide", ["_predictors", "_bin_mapper", "_loss", "_preprocessor", "n_trees_per_iteration_"])
def test_another_release_with_other_insides_is_served_by_its_public_path(hide: str) -> None:
    class Other(HistGradientBoostingClassifier):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            import inspect

            if name == hide and "forest.py" in inspect.stack()[1].filename:
                raise AttributeError(name)
            return super().__getattribute__(name)

    Other.__name__ = "HistGradientBoostingClassifier"
    model = Other(max_iter=3, categorical_features="from_dtype")
    runtime = SklearnRuntime(fitted(model, late), INPUTS, sample=nasty()[:20])
    assert runtime.name == "scikit-learn"
    assert len(runtime.predict(nasty())["label"]) == len(nasty())


def test_other_estimators_and_outputs() -> None:
    whole = Rows(
        [
            [float(value) for value in row]
            for row in plain(history(30, seed=2)[0].drop(columns=["origin", "carrier"]).fillna(0))
        ]
    )
    for model, target, outputs in (
        (make_pipeline(StandardScaler(), LogisticRegression()), late, {"probability", "label"}),
        (DecisionTreeClassifier(), thirds, {"probability", "label"}),
        (RidgeClassifier(), late, {"label"}),
        (LinearRegression(), minutes, {"prediction"}),
    ):
        frame = history(300, seed=4)[0].fillna({"weather_temp": 0})
        model.fit(frame[[c.name for c in NUMBERS]], target(frame))
        runtime = SklearnRuntime(model, NUMBERS, sample=whole)
        assert {o.name for o in runtime.outputs} == outputs
        assert runtime.name == "scikit-learn"
    assert next(o for o in SklearnRuntime(fitted(CASES[3][0], thirds), INPUTS, sample=nasty()).outputs).shape == (3,)


def test_a_model_that_learnt_from_a_bare_matrix_gets_one() -> None:
    frame = history(300, seed=4)[0].fillna({"weather_temp": 0})[[c.name for c in NUMBERS]]
    model = LogisticRegression(max_iter=1000).fit(frame.to_numpy(), late(history(300, seed=4)[0]))
    runtime = SklearnRuntime(model, NUMBERS, sample=Rows(frame.head(3).to_numpy().tolist()))
    matrix = frame.head(5).to_numpy()
    np.testing.assert_array_equal(
        runtime.predict(Rows(matrix.tolist(), matrix))["probability"], model.predict_proba(matrix)[:, 1]
    )
