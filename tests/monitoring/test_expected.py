"""Before outcomes: a calibrated model's estimate is near what is measured later; a blind spot is named."""

from datetime import timedelta

import numpy as np
from tests.monitoring.served import ACTOR, HOUR, START, Served, move

from trimtab.monitoring import BLINDNESS, Outcome, expected, performance, record_outcomes, watch
from trimtab.store import Store

DAY = timedelta(days=1)


def day(store: Store, start: int, n: int = 1200, *, sharper: float = 1.0) -> None:
    """Decisions of a day, with outcomes; with ``sharper`` the served probabilities are too sure of themselves."""
    at, random = START + start * DAY, np.random.default_rng(start)
    move(store, at)
    true = random.beta(2, 4, n)
    odds = (true / (1 - true)) ** sharper
    ids = Served(store).decide((odds / (1 + odds)).tolist(), at=at)
    y = random.random(n) < true
    move(store, at + HOUR)
    watch(store, "late", until=at + HOUR)
    said = [Outcome(decision=id_, value=float(value)) for id_, value in zip(ids, y, strict=True)]
    record_outcomes(store, "late", said, actor=ACTOR)


def test_the_estimate_is_near_what_is_measured(store: Store) -> None:
    day(store, 0)
    since, until = START, START + DAY
    found = expected(store, "late", version=1, since=since, until=until)
    measured = performance(store, "late", version=1, since=since, until=until).value("log_loss")
    assert found is not None
    assert (found.n, found.blindness) == (1200, BLINDNESS)
    loss = found.metrics["log_loss"]
    assert loss.low is not None
    assert loss.high is not None
    assert measured is not None
    assert loss.low < measured < loss.high


def test_outcomes_known_earlier_correct_a_model_that_is_too_sure(store: Store) -> None:
    day(store, 0, sharper=3.0)
    day(store, 1, sharper=3.0)
    second = {"version": 1, "since": START + DAY, "until": START + 2 * DAY}
    first = {"version": 1, "since": START, "until": START + DAY}
    measured = performance(store, "late", **second).value("log_loss")  # type: ignore[arg-type]
    believed = expected(store, "late", **first)  # type: ignore[arg-type]  # nothing is known before it
    corrected = expected(store, "late", **second)  # type: ignore[arg-type]
    assert believed is not None
    assert corrected is not None
    assert measured is not None
    assert abs((corrected.metrics["log_loss"].value or 0) - measured) < 0.05
    assert measured - (believed.metrics["log_loss"].value or 0) > 0.1


def test_nothing_to_estimate(store: Store) -> None:
    assert expected(store, "late", version=1, since=START, until=START + DAY) is None
    Served(store, "parcels", task="regression").decide([1.0], at=START)
    watch(store, "parcels", until=START)
    assert expected(store, "parcels", version=1, since=START, until=START + DAY) is None
