"""Performance against the level at approval: a test over days that may be looked at every day without crying wolf.

Decisions of one stormy day go wrong together, so a day counts as one loss: its mean. A day counts when its outcomes
have had time to arrive.
"""

import math
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import select

from trimtab.evaluation import DAY_S, Blocks, Task, blocks_from, get_evaluation
from trimtab.kernel import NotFound
from trimtab.monitoring.block_test import number_of
from trimtab.monitoring.level_evidence import LEAST_PAST, SURE, level_evidence
from trimtab.monitoring.level_power import UNKNOWN, LevelPower, simulated_power
from trimtab.monitoring.maturity import mature_until
from trimtab.monitoring.moments import hour_of, start_of
from trimtab.monitoring.records import Sign
from trimtab.monitoring.sums import Sums, float_of, read
from trimtab.monitoring.tables import monitoring_hours
from trimtab.registry import VersionRef, get_version
from trimtab.store import Store

GRACE = timedelta(days=2)
"""How long after a day its outcomes are waited for, where they are final sooner."""
LEAST_LABELLED = 20
"""Outcomes below which a day's mean says too little."""
_SHOWN = 7


class LevelEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the days say: ``e_value`` is the evidence now that the loss has risen, ``alarmed`` whether it was enough on
    one of the last seven days. ``mean`` is the mean loss of these, and ``n`` the days in all.
    """

    n: int
    mean: float | None
    e_value: float
    alarmed: bool


class LevelTest(msgspec.Struct, frozen=True, kw_only=True):
    """A version's daily loss against its level at approval. ``metric`` is log loss, or squared error.

    ``past_days`` are the days of the test span, from which the test learns how days differ; without any the level is
    the upper end of its interval.
    """

    endpoint: str
    version: int
    metric: str
    level: float
    days: tuple[tuple[str, int, float], ...]
    """Each day that counts: its date, its outcomes, its mean loss."""
    evidence: LevelEvidence
    past_days: int = 0


def level_test(store: Store, endpoint: str, *, version: int, at: datetime, model: str = "") -> LevelTest | None:
    """Return what the days so far say; None for a version without a measured level, or without decisions."""
    found = _days(store, endpoint, version, at)
    if found is None:
        return None
    task, days = found
    known = _level(store, model or endpoint, version)
    if known is None:
        return None
    level, past = known
    lately = level_evidence(days, past, level=level) if len(days) else ()
    return LevelTest(
        endpoint=endpoint, version=version, level=level, past_days=len(past or ()),
        days=tuple(
            (f"{start_of(day * 24):%Y-%m-%d}", n, mean)
            for day, n, mean in zip(days.at, days.rows, days.means, strict=True)
        ),
        evidence=LevelEvidence(
            n=len(days), mean=float(np.mean(days.means[-_SHOWN:])) if len(days) else None,
            e_value=number_of(lately[-1]) if lately else 1.0, alarmed=max(lately, default=0.0) >= math.log(SURE),
        ),
        metric="log_loss" if task == "classification" else "squared_error",
    )  # fmt: skip


def level_power(store: Store, endpoint: str, *, version: int, at: datetime, model: str = "") -> LevelPower:
    """Return how large a rise of a version's loss the test finds, from its test span and its days of service so far.

    A version that has not served yet is taken to get as many rows a day as its test span has. It costs a simulation of
    some tenths of a second, once a day.
    """
    known = _level(store, model or endpoint, version)
    if known is None or known[1] is None:
        return UNKNOWN
    level, past = known[0], known[1]
    found = _days(store, endpoint, version, at)
    served = found[1].rows if found is not None else ()
    rows = float(np.median(served or past.rows))
    return simulated_power(past, level=level, served_days=len(served), rows_a_day=rows)


def level_signs(test: LevelTest | None) -> list[Sign]:
    """Return whether the loss has risen above its level beyond what chance explains."""
    if test is None or not test.evidence.alarmed:
        return []
    shown = test.days[-_SHOWN:]
    return [
        Sign(
            kind="performance", group=f"performance:{test.version}", severity="page",
            title=(
                f"{test.metric.replace('_', ' ')} of {test.endpoint}@{test.version} is above its level at approval: "
                f"{test.evidence.mean or 0.0:.3f} a day over the last {len(shown)} days instead of {test.level:.3f}"
            ),
            lines=(
                *(f"{day}  {loss:.3f}  ({n:,} outcomes)" for day, n, loss in shown),
                f"the last {len(shown)} of {len(test.days):,} days with at least {LEAST_LABELLED} outcomes",
            ),
        )
    ]  # fmt: skip


def _level(store: Store, model: str, version: int) -> tuple[float, Blocks | None] | None:
    """Return the loss at approval and the days of the test span that it was measured on.

    Where these were not kept, the upper end of its interval, since it was measured on few rows itself.
    """
    try:
        id_ = get_version(store, VersionRef(model, version, "")).evaluation_id
        if id_ is None:
            return None
        evaluation = get_evaluation(store, id_).report.evaluation
    except NotFound:
        return None
    is_class = evaluation.task == "classification"
    found = evaluation.metrics.get("log_loss" if is_class else "rmse")
    if found is None:
        return None
    past = evaluation.days if evaluation.days is not None and len(evaluation.days) >= LEAST_PAST else None
    value = found.value if past is not None or found.high is None else found.high
    if value is None or value <= 0:
        return None
    return (value if is_class else value**2), past


def _days(store: Store, endpoint: str, version: int, at: datetime) -> tuple[Task, Blocks] | None:
    table = monitoring_hours.c
    over = hour_of(min(at - GRACE, mature_until(store, endpoint, at=at))) // 24 * 24
    query = (
        select(table.hour, table.labelled, table.sums)
        .where(table.endpoint == endpoint, table.version == version, table.hour < over)
        .order_by(table.hour)
    )
    with store.read() as connection:
        rows: Any = connection.execute(query).all()
    if not rows:
        return None
    sums: dict[int, tuple[int, Sums]] = {}
    for hour, labelled, text in rows:
        so_many, so_far = sums.get(hour // 24, (0, Sums()))
        sums[hour // 24] = (so_many + labelled, so_far + read(text)[1])
    days = [(day, n, one) for day, (n, one) in sorted(sums.items()) if n >= LEAST_LABELLED]
    numbers, n = (np.array([day[i] for day in days], np.int64) for i in (0, 1))
    means = np.array([one.mean("loss", labelled) for _, labelled, one in days], np.float64)
    squares = sum(float_of(one.loss2) for _, _, one in days) - float((n * means**2).sum())
    return read(rows[0][2])[0], blocks_from(numbers, n, means, max(squares, 0.0), span_s=DAY_S)
