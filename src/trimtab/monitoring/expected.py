"""Performance before outcomes: estimated from the model's probabilities, made true by outcomes known earlier."""

from datetime import datetime, timedelta

import numpy as np

from trimtab.monitoring.estimate import Estimated, calibrator_of, estimate
from trimtab.monitoring.maturity import mature_until
from trimtab.monitoring.moments import check_span, us_of
from trimtab.monitoring.rows import Span, labelled_rows, scores_between, task_of
from trimtab.store import Store

LEARNT_OVER = timedelta(days=30)
LEAST_LEARNT = 500
"""Outcomes below which the probabilities are taken at their word."""
MOST_ROWS = 20_000
"""Rows that an estimate is made of; more are thinned out evenly."""


def expected(store: Store, endpoint: str, *, version: int, since: datetime, until: datetime) -> Estimated | None:
    """Estimate how a classifier does on the decisions of [since, until), whether or not their outcomes are known.

    How often each probability came true is learnt from the final outcomes of the 30 days before ``since`` (or before
    the newest decision whose outcome is final), when there are 500. The answer says to what it is blind. None for a
    regression, and without decisions. Raises ``BadSpan``.
    """
    since_us, until_us = check_span(since, until, where="expected")
    if task_of(store, endpoint, version) != "classification":
        return None
    p = scores_between(store, Span(endpoint, version, since_us, until_us))
    if not p.size:
        return None
    if p.size > MOST_ROWS:
        p = p[np.linspace(0, p.size - 1, MOST_ROWS).astype(np.intp)]
    final = min(since, mature_until(store, endpoint, at=store.clock.now()))
    earlier = labelled_rows(store, Span(endpoint, version, us_of(final - LEARNT_OVER), us_of(final)))
    calibrator = calibrator_of(earlier.p, earlier.y) if earlier.y.size >= LEAST_LEARNT else None
    return estimate(p, calibrator=calibrator)
