"""Which rows were measured: their digest, and their arrays in the form that the metrics take."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.declare import number_text
from trimtab.evaluation.metrics import Array, Flags, Task
from trimtab.evaluation.wording import count
from trimtab.kernel import Invalid

MOST_VALUES = 500
MISSING = "(missing)"


class NotMeasurable(Invalid):
    """Labels, predictions or slices are not what an evaluation can work with."""

    code = "evaluation.not-measurable"


def rows_digest(y: Any, keys: Mapping[str, Any] | None = None) -> str:
    """Return the digest of rows in their order: their labels and, when given, their keys or other columns."""
    digest = hashlib.sha256()
    columns = {"": y, **(keys or {})}
    for name in sorted(columns):
        column = np.asarray(columns[name])
        numbers = column.dtype.kind in "fiub"
        data = column.astype("<f8").tobytes() if numbers else "\x1f".join(map(str, column.tolist())).encode()
        digest.update(f"{name}\x1e{column.size}\x1e{len(data)}\x1e".encode())
        digest.update(data)
    return "sha256:" + digest.hexdigest()


def labels(y: Any, *, task: Task) -> Flags | Array:
    """Return the labels as booleans (classification) or floats. Raises ``NotMeasurable``."""
    if task not in ("classification", "regression"):
        raise NotMeasurable(
            f"there is no task {task!r}",
            where="evaluate: task",
            why="Trimtab evaluates classification with two classes, and regression.",
            next="pass task='classification' or task='regression'",
        )
    found = np.asarray(y)
    if found.ndim != 1:
        raise _shape("y", found)
    if found.dtype.kind not in "fiub":
        found = _numbers(found, "y")
    numbers = found.astype(np.float64)
    unknown = int((~np.isfinite(numbers)).sum())
    if unknown:
        raise NotMeasurable(
            f"{count(unknown)} of {count(numbers.size)} labels are unknown",
            where="evaluate: y",
            why="A row whose outcome is not known yet says nothing about a prediction.",
            next="leave those rows out of the evaluation",
        )
    if task == "regression":
        return numbers
    classes = np.unique(numbers)
    if not np.isin(classes, (0.0, 1.0)).all():
        raise NotMeasurable(
            f"the label has the values {', '.join(map(number_text, classes[:5]))}"
            + (f" and {classes.size - 5} more" if classes.size > 5 else ""),
            where="evaluate: y",
            why="Classification is evaluated for two classes, True and False (1 and 0), and no more.",
            next="declare the label as a comparison, for example label=Flight.arr_delay > 15",
        )
    return numbers.astype(bool)


def predictions(prediction: Any, *, task: Task, n: int) -> Array:
    """Return the predictions as floats; not every one need be finite. Raises ``NotMeasurable``."""
    found = np.asarray(prediction)
    if found.ndim == 2 and task == "classification":
        raise NotMeasurable(
            f"predictions have {found.shape[1]} columns",
            where="evaluate: prediction",
            why="With two classes one number a row is enough: the probability of True.",
            next="pass model.predict_proba(X)[:, 1]",
        )
    if found.ndim != 1:
        raise _shape("prediction", found)
    if found.dtype.kind not in "fiub":
        found = _numbers(found, "prediction")
    if found.size != n:
        raise NotMeasurable(
            f"there are {count(found.size)} predictions for {count(n)} labels",
            where="evaluate: prediction",
            why="Each row has one label and one prediction.",
            next="predict exactly the rows whose labels are passed",
        )
    numbers = found.astype(np.float64)
    outside = numbers[np.isfinite(numbers) & ((numbers < 0) | (numbers > 1))]
    if task == "classification" and outside.size:
        raise NotMeasurable(
            f"{count(outside.size)} predictions are no probabilities, for example {number_text(outside[0])}",
            where="evaluate: prediction",
            why="Classification is measured on the probability of True, between 0 and 1.",
            next="pass model.predict_proba(X)[:, 1]",
        )
    return numbers


def slice_rows(values: Any, *, by: str, n: int) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each value of a column, values in order; nulls are ``(missing)``. Raises ``NotMeasurable``."""
    found = np.asarray(values)
    if found.shape != (n,):
        raise _shape(f"slices[{by!r}]", found)
    texts = np.array([MISSING if _is_null(value) else str(value) for value in found.tolist()], dtype=object)
    if n == 0:
        return {}
    names, codes = np.unique(texts.astype(str), return_inverse=True)
    if names.size > MOST_VALUES:
        raise NotMeasurable(
            f"column {by} has {count(names.size)} different values",
            where=f"evaluate: slices[{by!r}]",
            why=f"Slices are for categories; more than {MOST_VALUES} leave too few rows in each.",
            next="slice by a coarser column",
        )
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    return {str(name): rows for name, rows in zip(names, parts, strict=True)}


def _is_null(value: Any) -> bool:
    # NaN and NaT differ from themselves; whether pandas' NA does is neither true nor false.
    return value is None or type(value).__name__ == "NAType" or value != value  # noqa: PLR0124


def _numbers(found: NDArray[Any], name: str) -> NDArray[np.float64]:
    try:
        return np.array([np.nan if value is None else float(value) for value in found.tolist()])
    except (TypeError, ValueError):
        raise NotMeasurable(
            f"{name} holds values that are no numbers",
            where=f"evaluate: {name}",
            why="Metrics are computed from numbers.",
            next="pass labels as True/False or 1/0 (regression: numbers), and predictions as numbers",
        ) from None


def _shape(name: str, found: NDArray[Any]) -> NotMeasurable:
    return NotMeasurable(
        f"{name} has the shape {found.shape}",
        where=f"evaluate: {name}",
        why="Each row has one value, and every column has all rows.",
        next="pass one-dimensional arrays of the same length",
    )
