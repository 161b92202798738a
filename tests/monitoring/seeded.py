"""Rows that several tests of drift watch: days of numbers with a natural effect of each day, and a prediction."""

from typing import Any

import numpy as np
import pyarrow as pa

from trimtab.monitoring.calibration import Calibration, Finding
from trimtab.monitoring.counting import count, count_table
from trimtab.monitoring.reference import Reference, build_reference

USED = 5
"""The first columns are those that the prediction depends on."""


def day(
    random: np.random.Generator, *, rows: int, columns: int, effect: float = 0.03, shift: float = 0.0, shifted: int = 0
) -> np.ndarray:
    """Return a day's rows; every column has the day's own effect, and the first ``shifted`` have moved."""
    found = random.normal(size=(rows, columns)) + random.normal(0, effect, columns)
    found[:, :shifted] += shift
    return found


def prediction(rows: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-0.3 * rows[:, :USED].sum(axis=1)))


def table(rows: np.ndarray) -> pa.Table:
    return pa.table({f"f{i}": rows[:, i] for i in range(rows.shape[1])})


def reference_of_days(days: list[np.ndarray], **more: Any) -> Reference:
    rows = np.concatenate(days)
    lengths = [len(one) for one in days]
    moments = np.datetime64("2013-01-01", "us") + np.repeat(np.arange(len(days)), lengths) * np.timedelta64(1, "D")
    kinds = {f"f{i}": "float" for i in range(rows.shape[1])}
    return build_reference(
        table(rows), kinds=kinds, prediction=prediction(rows), at=pa.array(moments, pa.timestamp("us", "UTC")), **more
    )


def judge(calibration: Calibration, rows: np.ndarray, **more: Any) -> tuple[Finding, ...]:
    reference = calibration.reference
    columns = count_table(reference.columns, table(rows), threads=1)
    return calibration.findings(columns, count(reference.prediction, prediction(rows)), **more)
