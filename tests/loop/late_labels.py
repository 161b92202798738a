"""Worlds in which nothing changes and labels take their time: the rows, their delays, and the true loss of a model."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from trimtab.declare import ModelSpec
from trimtab.evaluation import evaluate
from trimtab.loop.split import split_in_time

START = datetime(2013, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
DAY = timedelta(days=1)
DAY_S = 86400.0
DAYS, ROWS_A_DAY, BASE = 200, 60, -1.5
Delays = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


def frame_of(day: np.ndarray, late: np.ndarray, y: np.ndarray, **more: np.ndarray) -> pa.Table:
    """Rows decided on a day, known so many days later (NaN: never)."""
    decided, known = ((np.asarray(one) * DAY_S * 1e6) for one in (day, day + late))
    origin = int(START.timestamp() * 1e6)
    columns = {
        "decided_at": pa.array((decided + origin).astype("int64"), pa.int64()).cast(TIME),
        "label": pa.array(y.astype(bool), mask=np.isnan(late)),
        "label_known_at": pa.array(np.nan_to_num(known + origin).astype("int64"), mask=np.isnan(late)).cast(TIME),
    }
    for name, values in more.items():
        columns[name] = pa.array(values)
    return pa.table(columns)


def world(seed: int, delays: Delays) -> tuple[pa.Table, float]:
    """Two hundred days in which nothing changes, of a model that knows the truth; and its true log loss."""
    rng = np.random.default_rng(seed)
    n = DAYS * ROWS_A_DAY
    day = np.sort(rng.uniform(0, DAYS, n))
    p = 1 / (1 + np.exp(-(BASE + rng.normal(0, 1.2, n))))
    y = rng.random(n) < p
    return frame_of(day, delays(rng, y, day), y, p=p), float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())


def exponential(positive: float, negative: float) -> Delays:
    return lambda rng, y, day: np.where(y, rng.exponential(positive, y.size), rng.exponential(negative, y.size))


def never_known(rng: np.random.Generator, y: np.ndarray, day: np.ndarray) -> np.ndarray:
    return np.where(rng.random(y.size) < 0.3, np.nan, np.where(y, rng.exponential(3, y.size), 30.0))


def growing(rng: np.random.Generator, y: np.ndarray, day: np.ndarray) -> np.ndarray:
    return np.where(y, rng.exponential(2 + day / 50, y.size), 15.0 + day / 20)


PATTERNS: dict[str, Delays] = {
    "slow negatives": lambda rng, y, day: np.where(y, rng.exponential(3, y.size), 30.0),
    "slow positives": lambda rng, y, day: np.where(y, 20 + rng.exponential(4, y.size), rng.exponential(0.5, y.size)),
    "both are slow": exponential(6, 2),
    "some are never known": never_known,
    "delays that grow": growing,
}


def shown_by_gate(model: ModelSpec, pattern: str, seeds: Iterable[int], *, resamples: int) -> tuple[int, float]:
    """Return in how many worlds the gate's interval held the true log loss, and how far its figure lay from it."""
    held, apart = 0, []
    for seed in seeds:
        frame, truth = world(seed, PATTERNS[pattern])
        test = split_in_time(frame, model, as_of=START + DAYS * DAY).test
        found = evaluate(
            task="classification", y=np.asarray(test["label"]), prediction=np.asarray(test["p"]), measured_at=START,
            resamples=resamples,
        ).metrics["log_loss"]  # fmt: skip
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        apart.append(found.value - truth)
    return held, float(np.mean(apart))
