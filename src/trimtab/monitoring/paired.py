"""Challenger against champion on the same rows: what one answered, and the other saw beside it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import and_, select

from trimtab.evaluation import Task
from trimtab.monitoring.maturity import maturity_of
from trimtab.monitoring.moments import HOUR_US, check_span
from trimtab.monitoring.records import Estimate, Paired
from trimtab.monitoring.rows import task_of
from trimtab.monitoring.sequential import PairedState, between_models, evidence, update
from trimtab.monitoring.sums import losses
from trimtab.monitoring.tables import monitoring_outcomes, monitoring_scores
from trimtab.store import Store

BLOCK_US = 6 * HOUR_US
"""Rows whose outcomes became known within one block are one bet: on a stormy day every row tells the same."""
CAP_LOG_LOSS = 0.25
CAP_VARIANCES = 0.5
"""For squared error, the largest mean difference of a block that a bet counts, in variances of the outcome."""


def paired(store: Store, endpoint: str, *, challenger: int, champion: int, since: datetime, until: datetime) -> Paired:
    """Compare two versions on the rows of [since, until) that both decided on, by log loss or squared error.

    A row is one answered decision and what mirrored it; it counts by its ``Decision.as_of``. The e-values bet on the
    mean differences of the blocks of six hours (UTC) in which outcomes became known, once a block is over, so that
    looking again later only adds bets; the interval holds at all times at once. Raises ``BadSpan``.
    """
    since_us, until_us = check_span(since, until, where="paired")
    task = task_of(store, endpoint, champion)
    rows = _pairs(store, endpoint, challenger, champion, since_us, until_us) if task else []
    matures_s = maturity_of(store, endpoint, at=until).after_s
    labelled = _final(rows, round(matures_s * 1e6), until_us)
    metric: Literal["log_loss", "squared_error"] | None = None
    if task is not None:
        metric = "log_loss" if task == "classification" else "squared_error"
    if task is None or not labelled:
        return Paired(
            endpoint=endpoint, challenger=challenger, champion=champion, since=since, until=until, metric=metric,
            rows=len(rows), n=0, champion_loss=None, challenger_loss=None,
            difference=Estimate(value=None, n=0, why="no outcome is known yet" if rows else "no row was seen by both"),
        )  # fmt: skip
    first, second, state = _compared(task, labelled, until_us)
    said = evidence(state)
    return Paired(
        endpoint=endpoint, challenger=challenger, champion=champion, since=since, until=until, metric=metric,
        rows=len(rows), n=len(labelled), champion_loss=float(first.mean()), challenger_loss=float(second.mean()),
        difference=Estimate(
            value=float((second - first).mean()), low=said.low, high=said.high, n=len(labelled),
            method="confidence sequence over blocks of 6 h" if said.low is not None else "",
            why="" if said.low is not None else "an interval takes two blocks of 6 h that are over",
        ),
        e_value=said.e_worse, better_e_value=said.e_better,
    )  # fmt: skip


def _final(rows: Sequence[Any], matures_us: int, until_us: int) -> list[tuple[str, float, float, float, int]]:
    """Return the rows whose outcome is final by ``until_us``, in the order in which they came to count.

    That is when the outcome was known, and not before it could be final: else a block would hold the quick outcomes.
    """
    found = [
        (*row[:4], max(row[4], row[5] + matures_us) if matures_us else row[4]) for row in rows if row[3] is not None
    ]
    counted = [row for row in found if row[4] <= until_us] if matures_us else found
    return sorted(counted, key=lambda row: (row[4], row[0]))


def _compared(task: Task, labelled: Sequence[Any], until_us: int) -> tuple[Any, Any, PairedState]:
    """Return both models' losses, and the sequential test after all blocks that are over."""
    numbers = np.array([row[1:4] for row in labelled], np.float64)
    y = numbers[:, 2]
    first, second = losses(task, y, numbers[:, 0])[0], losses(task, y, numbers[:, 1])[0]
    cap = CAP_LOG_LOSS
    if task == "regression":
        # From the outcomes alone, so that neither model has a say in it; a constant outcome leaves any cap as good.
        cap = CAP_VARIANCES * float(y.var()) or 1.0
    blocks = np.array([row[4] for row in labelled], np.int64) // BLOCK_US
    over = blocks < until_us // BLOCK_US
    _, starts = np.unique(blocks[over], return_index=True)
    means = [float(part.mean()) for part in np.split((second - first)[over], starts[1:])] if over.any() else []
    return first, second, update(between_models(cap=cap), means)


def _pairs(store: Store, endpoint: str, challenger: int, champion: int, since_us: int, until_us: int) -> Sequence[Any]:
    """Return every row of both: subject, the champion's score, the challenger's, outcome, when it was known, as of."""
    ours, theirs = monitoring_scores.alias("ours"), monitoring_scores.alias("theirs")
    outcomes = monitoring_outcomes
    query = (
        select(
            ours.c.subject, ours.c.score, theirs.c.score, outcomes.c.value, outcomes.c.known_us, ours.c.as_of_us
        )
        .join(theirs, and_(theirs.c.subject == ours.c.subject, theirs.c.version == challenger))
        .outerjoin(outcomes, outcomes.c.subject == ours.c.subject)
        .where(
            ours.c.endpoint == endpoint, ours.c.version == champion, ours.c.score.is_not(None),
            theirs.c.score.is_not(None), ours.c.hour >= since_us // HOUR_US, ours.c.hour <= (until_us - 1) // HOUR_US,
            ours.c.as_of_us >= since_us, ours.c.as_of_us < until_us,
        )
    )  # fmt: skip
    with store.read() as connection:
        return connection.execute(query).all()
