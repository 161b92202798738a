"""A metric of a run as a curve: every step with its value."""

from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from trimtab.store import Store
from trimtab.tracking.tables import tracking_metrics, tracking_points

_ROWS_AT_ONCE = 20_000


class Curve(NamedTuple):
    """The values of a metric by step, one for each step, NaN where that was logged. ``logged`` counts all points."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    logged: int


def metric_curve(store: Store, run_id: str, key: str) -> Curve:
    """Return every step of a metric with its value; of several values at one step, that of the latest moment.

    Empty for a metric that was not logged.
    """
    points, metrics = tracking_points.c, tracking_metrics.c
    query = (
        select(points.step, points.at_us, points.value)
        .join(tracking_metrics, metrics.id == points.metric_id)
        .where(metrics.run_id == run_id, metrics.key == key)
        .order_by(points.number)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    found: list[NDArray[np.float64]] = []
    with store.read() as connection:
        for rows in connection.execute(query).partitions():
            flat = (np.nan if value is None else value for value in chain.from_iterable(rows))
            found.append(np.fromiter(flat, np.float64, 3 * len(rows)).reshape(-1, 3))
    table = np.concatenate(found) if found else np.zeros((0, 3))
    # Steps are at most 2**53, and so are microseconds until the year 2255: float64 holds them exactly.
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    last = np.append(table[1:, 0] != table[:-1, 0], True) if len(table) else np.zeros(0, np.bool_)
    return Curve(table[last, 0].astype(np.int64), table[last, 2], len(table))
