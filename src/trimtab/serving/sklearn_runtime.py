"""Run a scikit-learn estimator: on a pandas frame like the one it was trained on, or by an equal, faster path."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.kernel import MissingExtra
from trimtab.serving.forest import Forest, forest_of
from trimtab.serving.records import Input, Output, Scalar
from trimtab.serving.runtimes import Outputs, Rows, outputs_of

_STEADY = (
    "sklearn.compose._column_transformer", "sklearn.dummy", "sklearn.ensemble.", "sklearn.impute._base",
    "sklearn.linear_model.", "sklearn.naive_bayes", "sklearn.pipeline", "sklearn.preprocessing._data",
    "sklearn.preprocessing._encoders", "sklearn.tree.",
)  # fmt: skip
"""Where the estimators live whose work depends on the shape of what they are given."""
FrameOf = Callable[[Sequence[Sequence[Scalar]]], Any]


class SklearnRuntime:
    """A fitted estimator. Classifiers answer ``probability`` and ``label``, regressors ``prediction``.

    ``probability`` is that of the second class for two classes, else one for each; ``label`` is the likeliest class
    (the first of equals). ``sample`` rows decide which path is taken: the fast one only when it gives the very same
    numbers on all of them.
    """

    def __init__(self, model: Any, inputs: tuple[Input, ...], *, sample: Rows) -> None:
        self.inputs = inputs
        self._model = model
        self._named = hasattr(model, "feature_names_in_")
        self._classes: NDArray[Any] | None = _classes_of(model)
        self._probable = self._classes is not None and hasattr(model, "predict_proba")
        self._frame_of = frame_maker(inputs)
        self._forest = self._equal_forest(sample)
        self.name = "scikit-learn, trees at once" if self._forest else "scikit-learn"
        self.steady = self._forest is not None or _is_steady(model)
        self.outputs: tuple[Output, ...] = outputs_of(self.predict(sample))

    def predict(self, rows: Rows) -> Outputs:
        if self._classes is None:
            return {"prediction": self._forest.predict(rows) if self._forest else self._public(rows)}
        if not self._probable:
            return {"label": self._public(rows)}
        each = self._forest.predict(rows) if self._forest else self._public(rows)
        probability = each[:, 1] if each.shape[1] == 2 else each
        return {"probability": probability, "label": self._classes[each.argmax(axis=1)]}

    def _public(self, rows: Rows) -> NDArray[Any]:
        """Predict as anybody would who has the estimator and a frame."""
        given = self._frame_of(rows.values) if self._named else rows.numbers()
        call = self._model.predict_proba if self._probable else self._model.predict
        return np.asarray(call(given))

    def _equal_forest(self, sample: Rows) -> Forest | None:
        forest = forest_of(self._model, self.inputs, self._frame_of, sample=sample)
        if forest is None:
            return None
        expected = self._public(sample)
        singly = np.concatenate([forest.predict(sample[i : i + 1]) for i in range(len(sample))])
        same = np.array_equal(forest.predict(sample), expected) and np.array_equal(singly, expected)
        return forest if same else None


def frame_maker(inputs: tuple[Input, ...]) -> FrameOf:
    """Return a function that makes the frame an estimator was trained on from rows of plain values.

    Categories are those seen in training, any other text is missing; numbers and booleans are float64, integers that
    can never be missing int64.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra(
            "a scikit-learn model cannot be served", where="serving", package="pandas", extra="sklearn"
        ) from None
    # Made once: a CategoricalDtype costs more than all the rest of a small frame.
    kinds = {i.name: pd.CategoricalDtype(list(i.categories)) for i in inputs if i.kind == "category"}
    codes: dict[str, dict[Scalar, int]] = {
        i.name: {text: code for code, text in enumerate(i.categories)} for i in inputs if i.kind == "category"
    }

    def frame_of(rows: Sequence[Sequence[Scalar]]) -> Any:
        columns: dict[str, Any] = {}
        for place, column in enumerate(inputs):
            name = column.name
            values = [row[place] for row in rows]
            if column.kind == "category":
                code_of = codes[name]
                found = np.array([code_of.get(value, -1) for value in values], dtype=np.intp)
                columns[name] = pd.Categorical.from_codes(found, dtype=kinds[name], validate=False)
            elif column.kind == "int" and not column.nullable:
                columns[name] = np.array(values, dtype=np.int64)
            else:
                columns[name] = np.array(values, dtype=np.float64)
        return pd.DataFrame(columns, copy=False)

    return frame_of


def _is_steady(model: Any) -> bool:
    """Say whether the time that an estimator, and all it is made of, takes never depends on the values of a row."""
    parts = [model, *(part for part in model.get_params(deep=True).values() if hasattr(part, "get_params"))]
    return all(type(part).__module__.startswith(_STEADY) for part in parts)


def _classes_of(model: Any) -> NDArray[Any] | None:
    from sklearn.base import is_classifier

    return np.asarray(model.classes_) if is_classifier(model) else None
