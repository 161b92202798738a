"""Performance against the level at approval: a test over days that may be looked at every day without crying wolf.

Decisions of one stormy day go wrong together, so a day counts as one loss: its mean. A day is bet on once, when its
outcomes have had time to arrive.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select

from trimtab.evaluation import Task, get_evaluation
from trimtab.kernel import NotFound
from trimtab.monitoring.maturity import maturity_of
from trimtab.monitoring.moments import hour_of, start_of
from trimtab.monitoring.records import Sign
from trimtab.monitoring.sequential import LevelEvidence, against_level, evidence, update
from trimtab.monitoring.sums import float_of, read
from trimtab.monitoring.tables import monitoring_hours
from trimtab.registry import VersionRef, get_version
from trimtab.store import Store

GRACE = timedelta(days=2)
"""How long after a day its outcomes are waited for, where they are final sooner."""
LEAST_LABELLED = 20
"""Outcomes below which a day's mean says too little."""
SPREAD = 0.15
"""By what share of the level days differ when nothing is wrong: it sizes the bets, and no more."""
HORIZON_DAYS = 90
_SHOWN = 7


class LevelTest(msgspec.Struct, frozen=True, kw_only=True):
    """A version's daily loss against its level at approval. ``metric`` is log loss, or squared error."""

    endpoint: str
    version: int
    metric: str
    level: float
    days: tuple[tuple[str, int, float], ...]
    """Each day that was bet on: its date, its outcomes, its mean loss."""
    evidence: LevelEvidence


def level_test(store: Store, endpoint: str, *, version: int, at: datetime, model: str = "") -> LevelTest | None:
    """Return what the days so far say; None for a version without a measured level, or without decisions."""
    found = _days(store, endpoint, version, at)
    if found is None:
        return None
    task, days = found
    level = _level(store, model or endpoint, version, task)
    if level is None:
        return None
    state = against_level(level, deviation=SPREAD * level, horizon=HORIZON_DAYS)
    state = update(state, [loss for _, _, loss in days])
    return LevelTest(
        endpoint=endpoint, version=version, level=level, days=tuple(days), evidence=evidence(state),
        metric="log_loss" if task == "classification" else "squared_error",
    )  # fmt: skip


def level_signs(test: LevelTest | None) -> list[Sign]:
    """Return whether the loss has risen above its level beyond what chance explains."""
    if test is None or not test.evidence.alarmed:
        return []
    mean = test.evidence.mean or 0.0
    return [
        Sign(
            kind="performance", group=f"performance:{test.version}", severity="page",
            title=(
                f"{test.metric.replace('_', ' ')} of {test.endpoint}@{test.version} is above its level at approval: "
                f"{mean:.3f} a day over {len(test.days)} days instead of {test.level:.3f}"
            ),
            lines=tuple(f"{day}  {loss:.3f}  ({n:,} outcomes)" for day, n, loss in test.days[-_SHOWN:]),
        )
    ]  # fmt: skip


def _level(store: Store, model: str, version: int, task: Task) -> float | None:
    """Return the loss at approval: the upper end of its interval, since it was measured on few rows itself."""
    try:
        evaluation = get_version(store, VersionRef(model, version, "")).evaluation_id
        if evaluation is None:
            return None
        metrics = get_evaluation(store, evaluation).report.evaluation.metrics
    except NotFound:
        return None
    found = metrics.get("log_loss" if task == "classification" else "rmse")
    value = None if found is None else found.high if found.high is not None else found.value
    if value is None or value <= 0:
        return None
    return value if task == "classification" else value**2


def _days(store: Store, endpoint: str, version: int, at: datetime) -> tuple[Task, list[tuple[str, int, float]]] | None:
    table = monitoring_hours.c
    matures = timedelta(seconds=maturity_of(store, endpoint, at=at).after_s)
    over = hour_of(at - max(GRACE, matures)) // 24 * 24
    query = (
        select(table.hour, table.labelled, table.sums)
        .where(table.endpoint == endpoint, table.version == version, table.hour < over)
        .order_by(table.hour)
    )
    with store.read() as connection:
        rows: Any = connection.execute(query).all()
    if not rows:
        return None
    losses: dict[int, tuple[int, int]] = {}
    for hour, labelled, text in rows:
        n, loss = losses.get(hour // 24, (0, 0))
        losses[hour // 24] = (n + labelled, loss + read(text)[1].loss)
    return read(rows[0][2])[0], [
        (f"{start_of(day * 24):%Y-%m-%d}", n, float_of(loss) / n)
        for day, (n, loss) in sorted(losses.items())
        if n >= LEAST_LABELLED
    ]
