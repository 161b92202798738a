"""Rows that several tests measure: two classes, a group column, and predictions that rank well but not perfectly."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from trimtab.evaluation import Evaluation, evaluate

NOW = datetime(2013, 3, 1, tzinfo=UTC)
RESAMPLES = 200


def rows(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities and groups (``a`` large, ``b`` half of it, ``c`` small)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    p = 1 / (1 + np.exp(-x))
    group = random.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    return random.random(n) < p, p, group


def measured(n: int = 400, seed: int = 0, **changes: Any) -> Evaluation:
    """Return an evaluation of ``rows`` with slices by ``group``."""
    y, p, group = rows(n, seed)
    values = {"task": "classification", "y": y, "prediction": p, "slices": {"group": group}, "measured_at": NOW}
    return evaluate(**(values | {"resamples": RESAMPLES, "slice_minimum": 20} | changes))
