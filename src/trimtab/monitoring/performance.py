"""How well a version does on what it decided, as far as that is known: from hourly sums, or from the rows."""

import math
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select

from trimtab.declare import duration_text
from trimtab.evaluation import FEWEST_ROWS, Task, range_of, unvaried_mean, wilson, z_of
from trimtab.monitoring.maturity import final_until, mature_until, maturity_of
from trimtab.monitoring.moments import HOUR_US, check_span, us_of
from trimtab.monitoring.records import Estimate, Performance
from trimtab.monitoring.rows import Span, counts_between
from trimtab.monitoring.sliced import from_rows, sliced
from trimtab.monitoring.sums import Sums, float_of, total
from trimtab.monitoring.tables import monitoring_hours
from trimtab.serving import Stage
from trimtab.store import Store

CONFIDENCE = 0.95
FROM_SUMS = ("log_loss", "brier", "accuracy", "rmse", "mae", "r2", "predicted", "observed")
"""Metrics that need no rows: those of the task among them are always measured."""
_FLAT = 1e-7
"""Share of a mean below which half its interval is no spread, but the last digits of squares that are equal."""
_ALIKE = "all rows are alike, which gives no interval"
_ANSWERED: tuple[Stage, ...] = ("full", "canary")


def performance(
    store: Store,
    endpoint: str,
    *,
    version: int | None,
    since: datetime,
    until: datetime,
    slices: Sequence[str] = (),
    metrics: Collection[str] = (),
    stages: Collection[Stage] | None = None,
) -> Performance:
    """Return how a version did on the decisions of [since, until), by ``Decision.as_of``, with what is final now.

    Decisions that are too young for their outcome to be final are counted, and nothing more: of them, only the quick
    outcomes are known. Without ``slices`` and ``metrics`` it is a sum over hours, whatever the traffic. ``metrics``
    names others of ``evaluation.metrics_of`` (``auc``, ``recall``, ...), which are measured on the rows; ``slices``
    names features by whose values to measure them, at the cost of reading the decision log. ``version`` None means all
    that answered. ``stages`` None means every decision of a version, those that it made as a shadow too. Means carry
    normal intervals from the hours' sums of squares, proportions Wilson's, the AUC DeLong's. Raises ``BadSpan``,
    ``OutcomeRefused``.
    """
    since_us, until_us = check_span(since, until, where="performance")
    chosen = tuple(stages) if stages is not None else _ANSWERED if version is None else None
    now = store.clock.now()
    matures_s = maturity_of(store, endpoint, at=now).after_s
    final = final_until(store, endpoint, after_s=matures_s, at=now)
    mature_us = min(until_us, max(since_us, us_of(final))) if matures_s else until_us
    span = Span(endpoint, version, since_us, mature_us, chosen)
    task, n, labelled, sums = _summed(store, span)
    if mature_us < until_us:
        later_task, later, _, _ = _summed(store, span._replace(since_us=mature_us, until_us=until_us))
        task, n = task or later_task, n + later
    found: dict[str, Estimate] = {}
    if task is not None:
        found = _measured(task, labelled, sums, why=_why(matures_s))
        others = [name for name in metrics if name not in found]
        if others:
            found |= from_rows(store, span, task, others, confidence=CONFIDENCE)
    return Performance(
        endpoint=endpoint, version=version, since=since, until=until, task=task, decisions=n, labelled=labelled,
        waiting=(n - labelled) / n if n else None, metrics=found, matures_s=matures_s, mature_until=final,
        slices=sliced(store, span, task, slices, confidence=CONFIDENCE) if slices and task else {},
    )  # fmt: skip


def lately(
    store: Store, endpoint: str, *, version: int | None, over: timedelta, slices: Sequence[str] = (),
    metrics: Collection[str] = (),
) -> Performance:  # fmt: skip
    """Return how a version did on its newest decisions that can be judged: those of the last ``over`` that are final.

    The span ends now where outcomes are final as soon as they are known, and else by the age at which they are earlier.
    """
    until = mature_until(store, endpoint, at=store.clock.now())
    return performance(
        store, endpoint, version=version, since=until - over, until=until, slices=slices, metrics=metrics
    )


def _why(matures_s: float) -> str:
    if not matures_s:
        return "no outcome is known yet"
    return f"no outcome is final yet: that takes {duration_text(matures_s)} from the decision"


def _summed(store: Store, span: Span) -> tuple[Task | None, int, int, Sums]:
    """Return the sums of a span: whole hours from their rows, what juts out at its ends from the decisions."""
    first, last = -(-span.since_us // HOUR_US), span.until_us // HOUR_US
    if first > last:
        return counts_between(store, [(span.since_us, span.until_us)], span)
    table = monitoring_hours.c
    query = select(table.n, table.labelled, table.sums).where(
        table.endpoint == span.endpoint, table.hour >= first, table.hour < last
    )
    if span.version is not None:
        query = query.where(table.version == span.version)
    if span.stages is not None:
        query = query.where(table.stage.in_(span.stages))
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(query).all()
    task, sums = total(row[2] for row in rows)
    n, labelled = sum(row[0] for row in rows), sum(row[1] for row in rows)
    edges = [(a, b) for a, b in ((span.since_us, first * HOUR_US), (last * HOUR_US, span.until_us)) if a < b]
    if edges:
        edge_task, edge_n, edge_labelled, edge_sums = counts_between(store, edges, span)
        task, n, labelled, sums = task or edge_task, n + edge_n, labelled + edge_labelled, sums + edge_sums
    return task, n, labelled, sums


def _measured(task: Task, n: int, sums: Sums, *, why: str) -> dict[str, Estimate]:
    names = ("log_loss", "brier", "accuracy") if task == "classification" else ("rmse", "mae", "r2")
    if not n:
        nothing = Estimate(value=None, n=0, why=why)
        return dict.fromkeys((*names, "predicted", "observed"), nothing)
    loss, other = _mean(sums.loss, sums.loss2, n), _mean(sums.other, sums.other2, n)
    if task == "classification":
        # The loss of a row says what the other outcome would have cost it.
        loss = _unvaried(loss, lambda one: -math.log(max(-math.expm1(-one), sys.float_info.epsilon)))
        other = _unvaried(other, lambda one: (1.0 - math.sqrt(one)) ** 2)
    loss, other = _possible(loss, names[0]), _possible(other, names[1])
    if task == "classification":
        observed = _share(round(float_of(sums.observed)), n)
        found = {"log_loss": loss, "brier": other, "accuracy": _share(round(float_of(sums.extra)), n)}
    else:
        observed = _mean(sums.observed, sums.extra, n)
        found = {"rmse": _root(loss), "mae": other, "r2": _r2(sums, n)}
    return found | {"predicted": Estimate(value=sums.mean("predicted", n), n=n), "observed": observed}


def _mean(sum_: int, squares: int, n: int) -> Estimate:
    """Return a mean with its normal interval, from a sum and a sum of squares."""
    mean = float_of(sum_) / n
    if n < FEWEST_ROWS:
        return Estimate(value=mean, n=n, why="too few rows for an interval")
    # Both are exact, so their difference keeps every digit.
    half = z_of(CONFIDENCE) * math.sqrt(max(0.0, float_of(squares * n - (sum_ * sum_ >> 128)) / (n * n * (n - 1))))
    if half <= _FLAT * abs(mean):
        return Estimate(value=mean, n=n, why=_ALIKE)
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, method="normal")


def _unvaried(mean: Estimate, other_outcome: Callable[[float], float]) -> Estimate:
    """Return a mean of equal losses with the interval that an evaluation gives it."""
    if mean.why != _ALIKE or mean.value is None:
        return mean
    low, high, method = unvaried_mean(mean.value, other_outcome(mean.value), mean.n, confidence=CONFIDENCE)
    return Estimate(value=mean.value, low=low, high=high, n=mean.n, method=method)


def _possible(mean: Estimate, metric: str) -> Estimate:
    """Cut off what no mean of losses can be."""
    if mean.low is None or mean.high is None:
        return mean
    lowest, highest = range_of(metric)
    return msgspec.structs.replace(mean, low=max(lowest, mean.low), high=min(highest, mean.high))


def _share(part: int, n: int) -> Estimate:
    low, high = wilson(part, n, confidence=CONFIDENCE)
    return Estimate(value=part / n, low=low, high=high, n=n, method="Wilson")


def _root(squares: Estimate) -> Estimate:
    if squares.value is None or squares.low is None or squares.high is None:
        value = None if squares.value is None else math.sqrt(squares.value)
        return Estimate(value=value, n=squares.n, why=squares.why)
    return Estimate(
        value=math.sqrt(squares.value), low=math.sqrt(max(0.0, squares.low)), high=math.sqrt(squares.high),
        n=squares.n, method="normal, of the squared error",
    )  # fmt: skip


def _r2(sums: Sums, n: int) -> Estimate:
    spread = sums.extra * n - (sums.observed * sums.observed >> 128)
    if n < 2 or spread <= 0:
        return Estimate(value=None, n=n, why="the outcomes do not vary")
    return Estimate(value=1.0 - sums.loss * n / spread, n=n)
