"""Measure how long a model takes for one row, for the gate that asks ``tt.latency.p99 <= "20ms"``."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from trimtab.evaluation import Latency, latency_of
from trimtab.kernel import Clock, SystemClock
from trimtab.serving.loader import sample_rows
from trimtab.serving.records import Input
from trimtab.serving.runtimes import Runtime
from trimtab.serving.sklearn_runtime import SklearnRuntime
from trimtab.serving.threads import limited_threads

WARM_UP_SHARE = 10
ROWS = 1_000


def measure_latency(
    model: Any,
    sample: pa.Table,
    *,
    inputs: tuple[Input, ...],
    measured_at: datetime,
    n: int = 1_000,
    clock: Clock | None = None,
) -> Latency:
    """Return how long a fitted estimator, or a runtime, takes for one row, on the path that will serve it.

    ``n`` calls with one row each, taken in turn from ``sample``, after a tenth as many that do not count, on the
    machine's own clock. Only the model: reading features and HTTP come on top.
    """
    clock = clock or SystemClock()
    rows = sample_rows(sample.slice(0, ROWS), inputs)
    with limited_threads():
        runtime: Runtime = model if isinstance(model, Runtime) else SklearnRuntime(model, inputs, sample=rows)
        singly = [rows[i : i + 1] for i in range(len(rows))]
        for i in range(n // WARM_UP_SHARE):
            runtime.predict(singly[i % len(singly)])
        seconds = np.empty(n)
        for i in range(n):
            row = singly[i % len(singly)]
            started = clock.monotonic()
            runtime.predict(row)
            seconds[i] = clock.monotonic() - started
    return latency_of(seconds, measured_at=measured_at)
