"""From when on an endpoint's decisions may be judged: when every outcome has had the time to become known.

The age at which labels are final is that of the model's newest evaluated version: as its file declares it, or as it was
measured in training. Where nobody declared it, the outcomes of the endpoint itself are measured too, once a week, by
what was known when the week began; the longer age of the two holds.
"""

from datetime import datetime, timedelta

import msgspec
import numpy as np
from sqlalchemy import func, select

from trimtab.evaluation import Maturity, get_evaluation, measured_maturity
from trimtab.kernel import NotFound
from trimtab.monitoring.moments import HOUR_US, hour_of, moment_of, us_of
from trimtab.monitoring.rows import task_of
from trimtab.monitoring.tables import monitoring_hours, monitoring_outcomes, monitoring_scores
from trimtab.registry import list_versions
from trimtab.serving import get_endpoint
from trimtab.store import Store

LOOKS_BACK_H = 90 * 24
EVERY_H = 5
"""Decisions of each fifth hour are looked at: so many that delays are known, at little cost. It divides neither day nor
week, so that what is decided once a week is looked at too."""
_WEEK_H = 7 * 24
_REMEMBERED = 256
_MOST_VERSIONS = 20
_measured: dict[tuple[str, str, int], Maturity] = {}
"""By ledger, endpoint and week: what was known when a week began does not change."""
_evaluated: dict[tuple[str, str], Maturity] = {}
"""By ledger and evaluation: a kept report never changes."""


def maturity_of(store: Store, endpoint: str, *, at: datetime, model: str = "") -> Maturity:
    """Return at what age the labels of an endpoint's decisions are final, as it was known in the week of ``at``.

    How late each outcome became known is that of the endpoint's own, once there are enough. ``model`` is whose versions
    answer, "" the one that is routed.
    """
    trained = _of_version(store, model or routed_model(store, endpoint))
    served = _in_service(store, endpoint, us_of(at) // HOUR_US // _WEEK_H)
    if trained is None or not served.outcomes:
        return trained or served
    if trained.by != "measured":
        return msgspec.structs.replace(trained, outcomes=served.outcomes, uneven=served.uneven)
    return msgspec.structs.replace(served, after_s=max(served.after_s, trained.after_s))


def mature_until(store: Store, endpoint: str, *, at: datetime, model: str = "") -> datetime:
    """Return the moment before which every decision of an endpoint may be judged by what is known at ``at``."""
    return final_until(store, endpoint, after_s=maturity_of(store, endpoint, at=at, model=model).after_s, at=at)


def final_until(store: Store, endpoint: str, *, after_s: float, at: datetime) -> datetime:
    """Return the same for labels that are final ``after_s`` seconds after the decision.

    Where nobody has told an outcome for over an hour and some are missing of decisions that are old enough, their
    source stands still: then age is counted to the newest outcome, before which the quick ones were not alone told.
    """
    by_age = at - timedelta(seconds=after_s)
    if not after_s:
        return at
    known, hours = monitoring_outcomes.c, monitoring_hours.c
    newest = select(func.max(known.known_us)).where(known.endpoint == endpoint, known.known_us <= us_of(at))
    with store.read() as connection:
        told_us = connection.execute(newest).scalar()
        if told_us is None or us_of(at) - told_us <= HOUR_US:
            return by_age
        told = moment_of(told_us) - timedelta(seconds=after_s)
        missing = select(func.sum(hours.n - hours.labelled)).where(
            hours.endpoint == endpoint, hours.hour >= hour_of(told), hours.hour < hour_of(by_age)
        )
        return told if connection.execute(missing).scalar() else by_age


def routed_model(store: Store, endpoint: str) -> str:
    """Return the model whose versions answer at an endpoint: that of its own name, unless it is routed otherwise."""
    try:
        return get_endpoint(store, endpoint).routing.model
    except NotFound:
        return endpoint


def _of_version(store: Store, model: str) -> Maturity | None:
    """Return what the newest evaluated version of a model says; None when none was evaluated."""
    try:
        versions = list_versions(store, model, limit=_MOST_VERSIONS).items
    except NotFound:
        return None
    id_ = next((one.evaluation_id for one in versions if one.evaluation_id is not None), None)
    if id_ is None:
        return None
    if (store.origin, id_) not in _evaluated:
        while len(_evaluated) >= _REMEMBERED:
            _evaluated.pop(next(iter(_evaluated)))
        try:
            _evaluated[store.origin, id_] = get_evaluation(store, id_).report.evaluation.maturity
        except NotFound:
            return None
    return _evaluated[store.origin, id_]


def _in_service(store: Store, endpoint: str, week: int) -> Maturity:
    place = (store.origin, endpoint, week)
    if place not in _measured:
        while len(_measured) >= _REMEMBERED:
            _measured.pop(next(iter(_measured)))
        _measured[place] = _measure(store, endpoint, week * _WEEK_H)
    return _measured[place]


def _measure(store: Store, endpoint: str, before_h: int) -> Maturity:
    """Measure how late outcomes became known, of answered decisions, by what was known before an hour."""
    task, before_us = task_of(store, endpoint, None), before_h * HOUR_US
    if task is None:
        return Maturity()
    scores, outcomes = monitoring_scores.c, monitoring_outcomes.c
    query = (
        select(scores.as_of_us, outcomes.known_us, outcomes.value)
        .join(monitoring_outcomes, outcomes.subject == scores.subject)
        .where(
            scores.endpoint == endpoint, scores.id == scores.subject,
            scores.hour.in_(range(before_h - LOOKS_BACK_H, before_h, EVERY_H)), outcomes.known_us < before_us,
        )
        .order_by(scores.as_of_us, scores.id)
    )  # fmt: skip
    with store.read() as connection:
        rows = np.array([tuple(row) for row in connection.execute(query)], np.float64).reshape(-1, 3)
    decided, known, value = rows.T / np.array([[1e6], [1e6], [1.0]])
    late = known > decided  # an outcome that was there already tells nothing of how long it takes
    return measured_maturity(task, value[late], (known - decided)[late], before_us / 1e6 - decided[late])
