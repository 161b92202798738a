"""Turn a training frame into what a train function receives: a pandas frame with fixed categories."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.features import CompiledView
from trimtab.kernel import MissingExtra


def model_input(frame: pa.Table, view: CompiledView) -> Any:
    """Return the feature columns of a frame as pandas, in the view's order.

    Categories become ``Categorical`` with the sorted values of this frame as its categories; numbers become
    float64 where a value may be missing, else int64; booleans become 0.0 and 1.0. A missing value is NaN.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("a model cannot be trained", where="loop.train", package="pandas", extra="sklearn") from None
    columns: dict[str, Any] = {}
    for column in view.columns:
        values = frame[column.name].combine_chunks()
        match column.kind:
            case "category":
                categories = pc.drop_null(pc.unique(values)).sort().to_pylist()
                columns[column.name] = pd.Categorical(values.to_pylist(), categories=categories)
            case "int" if values.null_count == 0:
                columns[column.name] = np.asarray(values, dtype=np.int64)
            case _:
                columns[column.name] = as_float(values)
    return pd.DataFrame(columns)


def label_of(frame: pa.Table, task: str) -> Any:
    """Return the label as a NumPy array: int64 0 and 1 for a classification, float64 for a regression."""
    values = as_float(frame["label"].combine_chunks())
    return values.astype(np.int64) if task == "classification" else values


def as_float(values: pa.Array) -> Any:
    """Return numbers or booleans as the nearest float64, with NaN for a missing value."""
    return np.asarray(pc.fill_null(values.cast(pa.float64(), safe=False), float("nan")), dtype=np.float64)
