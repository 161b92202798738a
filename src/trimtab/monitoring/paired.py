"""Challenger against champion on the same rows: what one answered, and the other saw beside it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, select

from trimtab.evaluation import QUARTER_S, Blocks, blocks_of, get_evaluation
from trimtab.kernel import NotFound
from trimtab.monitoring.maturity import final_until, maturity_of, routed_model
from trimtab.monitoring.moments import HOUR_US, check_span, us_of
from trimtab.monitoring.paired_test import paired_evidence
from trimtab.monitoring.records import Estimate, Paired
from trimtab.monitoring.rows import task_of
from trimtab.monitoring.sums import losses
from trimtab.monitoring.tables import monitoring_outcomes, monitoring_scores
from trimtab.registry import VersionRef, get_version
from trimtab.store import Store

BLOCK_US = QUARTER_S * 1_000_000


def paired(store: Store, endpoint: str, *, challenger: int, champion: int, since: datetime, until: datetime) -> Paired:
    """Compare two versions on the rows of [since, until) that both decided on, by log loss or squared error.

    A row is one answered decision and what mirrored it; it counts by its ``Decision.as_of``. What counts as one proof
    is a block of six hours (UTC) in which outcomes became known, once it is over: its mean difference. How blocks
    differ when nothing is wrong is learnt from them, and from the blocks of the test span on which the challenger was
    compared with the champion (``paired_evidence``). The interval holds at all times at once. Raises ``BadSpan``.
    """
    since_us, until_us = check_span(since, until, where="paired")
    task = task_of(store, endpoint, champion)
    rows = _pairs(store, endpoint, challenger, champion, since_us, until_us) if task else []
    matures_s = maturity_of(store, endpoint, at=until).after_s
    told = final_until(store, endpoint, after_s=matures_s, at=until) + timedelta(seconds=matures_s)
    labelled = _final(rows, round(matures_s * 1e6), us_of(told))
    metric: Literal["log_loss", "squared_error"] | None = None
    if task is not None:
        metric = "log_loss" if task == "classification" else "squared_error"
    n = labelled.outcome.size
    if task is None or not n:
        return Paired(
            endpoint=endpoint, challenger=challenger, champion=champion, since=since, until=until, metric=metric,
            rows=len(rows), n=0, champion_loss=None, challenger_loss=None,
            difference=Estimate(value=None, n=0, why="no outcome is known yet" if rows else "no row was seen by both"),
        )  # fmt: skip
    first, second = (losses(task, labelled.outcome, one)[0] for one in (labelled.champion, labelled.challenger))
    moments = labelled.counts_us
    over = moments // BLOCK_US < until_us // BLOCK_US
    blocks = blocks_of((second - first)[over], moments[over], span_s=QUARTER_S)
    scale = float((first[over].mean() + second[over].mean()) / 2) if over.any() else 0.0
    past = past_differences(store, routed_model(store, endpoint), challenger)
    said = paired_evidence(blocks, past, scale=scale)
    return Paired(
        endpoint=endpoint, challenger=challenger, champion=champion, since=since, until=until, metric=metric,
        rows=len(rows), n=n, champion_loss=float(first.mean()), challenger_loss=float(second.mean()),
        difference=Estimate(
            value=float((second - first).mean()), low=said.low, high=said.high, n=n,
            method="confidence sequence over blocks of 6 h" if said.low is not None else "",
            why="" if said.low is not None else "an interval takes more blocks of 6 h that are over",
        ),
        e_value=said.e_worse, better_e_value=said.e_better, blocks=len(blocks), past_blocks=len(past or ()),
    )  # fmt: skip


class _Final(NamedTuple):
    """The rows whose outcome is final, in the order in which they came to count."""

    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]
    outcome: NDArray[np.float64]
    counts_us: NDArray[np.int64]


def _final(rows: Sequence[Any], matures_us: int, until_us: int) -> _Final:
    """Return the rows whose outcome is final by ``until_us``, in the order in which they came to count.

    That is when the outcome was known, and not before it could be final: else a block would hold the quick outcomes.
    """
    found = [row for row in rows if row[3] is not None]
    subjects, champion, challenger, outcome, known_us, as_of_us = zip(*found, strict=True) if found else ((),) * 6
    counts_us = np.array(known_us, np.int64)
    if matures_us:
        counts_us = np.maximum(counts_us, np.array(as_of_us, np.int64) + matures_us)
    order = np.lexsort((np.array(subjects, np.str_), counts_us))
    if matures_us:
        order = order[counts_us[order] <= until_us]
    scores = np.array((champion, challenger), np.float64)[:, order]
    return _Final(scores[0], scores[1], np.array(outcome, np.float64)[order], counts_us[order])


def past_differences(store: Store, model: str, challenger: int) -> Blocks | None:
    """Return how a version's loss differed from the champion's on its test span; None when they were not compared."""
    try:
        id_ = get_version(store, VersionRef(model, challenger, "")).evaluation_id
        comparison = get_evaluation(store, id_).report.comparison if id_ is not None else None
    except NotFound:
        return None
    return comparison.blocks if comparison is not None else None


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
