"""The decisions of a span with what came of them, where sums over hours do not say enough."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, or_, select

from trimtab.evaluation import Task
from trimtab.monitoring.moments import HOUR_US
from trimtab.monitoring.sums import Sums, of_outcomes, of_scores, read
from trimtab.monitoring.tables import monitoring_hours, monitoring_outcomes, monitoring_scores
from trimtab.serving import Stage
from trimtab.store import Store

Floats = NDArray[np.float64]


class Span(NamedTuple):
    """Which decisions are meant: of one version or (None) of all, in some stages or (None) in all."""

    endpoint: str
    version: int | None
    since_us: int
    until_us: int
    stages: tuple[Stage, ...] | None = None


class LabelledRows(msgspec.Struct, eq=False):
    """Decisions with an outcome, oldest first: ids, those of the answered decisions, outcomes and scores."""

    ids: list[str]
    subjects: list[str]
    y: Floats
    p: Floats


def labelled_rows(store: Store, span: Span) -> LabelledRows:
    """Return the decisions of a span whose outcome is known, and that have a score."""
    scores, outcomes = monitoring_scores, monitoring_outcomes
    query = (
        select(scores.c.id, scores.c.subject, outcomes.c.value, scores.c.score)
        .join(outcomes, outcomes.c.subject == scores.c.subject)
        .where(*_within(span, [(span.since_us, span.until_us)]), scores.c.score.is_not(None))
        .order_by(scores.c.as_of_us, scores.c.id)
    )
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(query).all()
    numbers = np.array([row[2:] for row in rows], np.float64).reshape(-1, 2)
    return LabelledRows([row[0] for row in rows], [row[1] for row in rows], numbers[:, 0], numbers[:, 1])


def scores_between(store: Store, span: Span) -> Floats:
    """Return the scores of a span's decisions, oldest first, whether or not their outcomes are known."""
    table = monitoring_scores.c
    query = (
        select(table.score)
        .where(*_within(span, [(span.since_us, span.until_us)]), table.score.is_not(None))
        .order_by(table.as_of_us, table.id)
    )
    with store.read() as connection:
        return np.array(connection.execute(query).scalars().all(), np.float64)


def counts_between(store: Store, spans: Sequence[tuple[int, int]], span: Span) -> tuple[Task | None, int, int, Sums]:
    """Return the task, decisions, decisions with an outcome and sums of some spans that are not whole hours."""
    scores, outcomes = monitoring_scores, monitoring_outcomes
    query: Select[Any] = (
        select(scores.c.score, outcomes.c.value)
        .outerjoin(outcomes, outcomes.c.subject == scores.c.subject)
        .where(*_within(span, spans))
    )
    task = task_of(store, span.endpoint, span.version)
    with store.read() as connection:
        rows: Sequence[Any] = connection.execute(query).all()
    if not rows or task is None:
        return None, 0, 0, Sums()
    known = [(score, value) for score, value in rows if score is not None and value is not None]
    sums = of_scores(score for score, _ in rows)
    for more in of_outcomes(task, [value for _, value in known], [score for score, _ in known]):
        sums += more
    return task, len(rows), len(known), sums


def task_of(store: Store, endpoint: str, version: int | None) -> Task | None:
    """Return what kind of answers a version (None: any) gave at an endpoint; None when none was taken yet."""
    table = monitoring_hours.c
    query = select(table.sums).where(table.endpoint == endpoint).order_by(table.hour.desc()).limit(1)
    if version is not None:
        query = query.where(table.version == version)
    with store.read() as connection:
        text = connection.execute(query).scalar()
    return None if text is None else read(text)[0]


def _within(span: Span, spans: Sequence[tuple[int, int]]) -> list[ColumnElement[bool]]:
    table = monitoring_scores.c
    # The hour is what the index knows.
    within = or_(
        *(
            (table.hour >= since // HOUR_US)
            & (table.hour <= (until - 1) // HOUR_US)
            & (table.as_of_us >= since)
            & (table.as_of_us < until)
            for since, until in spans
        )
    )
    found: list[ColumnElement[bool]] = [table.endpoint == span.endpoint, within]
    if span.version is not None:
        found.append(table.version == span.version)
    if span.stages is not None:
        found.append(table.stage.in_(span.stages))
    return found
