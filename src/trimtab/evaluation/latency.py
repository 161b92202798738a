"""How long the model takes for one row: quantiles of measured calls, in seconds, with their intervals."""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from trimtab.evaluation.intervals import quantile_interval
from trimtab.evaluation.records import MetricValue
from trimtab.evaluation.wording import count
from trimtab.kernel import Invalid

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}
METHOD = "order statistics"
STOOD_STILL = "not measured: the clock stood still during the calls, as in a replay"


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Measured call times. ``metrics``: p50, p90, p95, p99, p999, mean and max, in seconds.

    ``absent`` says why there are none, and no fault of the model's: the clock stood still.
    """

    n: int
    metrics: dict[str, MetricValue]
    measured_at: datetime
    absent: str = ""


def latency_of(seconds: Any, *, measured_at: datetime, confidence: float = 0.95) -> Latency:
    """Summarise call times in seconds. A quantile needs enough calls to lie inside them: p99 at least 100.

    Where no call took any time the clock stood still, and nothing was measured: ``absent`` says so.
    Raises ``Invalid`` for a time that is negative or not finite.
    """
    times = np.sort(np.asarray(seconds, dtype=np.float64).ravel())
    if not np.isfinite(times).all() or (times < 0).any():
        raise Invalid(
            "a call time is negative or not finite",
            where="latency_of: seconds",
            why="Latency is the time from question to answer, in seconds.",
            next="measure with a monotonic clock, for example store.clock.monotonic()",
        )
    if times.size and not times.any():
        nothing = MetricValue(value=None, n=times.size, why=STOOD_STILL)
        metrics = dict.fromkeys((*QUANTILES, "mean", "max"), nothing)
        return Latency(n=times.size, metrics=metrics, measured_at=measured_at, absent=STOOD_STILL)
    metrics = {name: _quantile(times, name, share, confidence) for name, share in QUANTILES.items()}
    for name, value in (("mean", np.mean), ("max", np.max)):
        why = "" if times.size else "no call was measured"
        metrics[name] = MetricValue(value=float(value(times)) if times.size else None, n=times.size, why=why)
    return Latency(n=times.size, metrics=metrics, measured_at=measured_at)


def _quantile(times: np.ndarray[Any, np.dtype[np.float64]], name: str, share: float, confidence: float) -> MetricValue:
    needed = round(1.0 / (1.0 - share))
    if times.size < needed:
        return MetricValue(
            value=None,
            n=times.size,
            why=f"{name} needs at least {count(needed)} calls, and {count(times.size)} were measured",
        )
    low, high = quantile_interval(times, share, confidence=confidence) or (None, None)
    value = float(np.quantile(times, share))
    return MetricValue(value=value, low=low, high=high, n=times.size, method=METHOD if low is not None else "")
