"""Failures: what gateways counted, as rates and quantiles."""

from datetime import timedelta

import pytest
from tests.monitoring.served import START

from trimtab.kernel import TrimtabError
from trimtab.monitoring import failures
from trimtab.serving.counting import Counting
from trimtab.serving.records import Stage
from trimtab.serving.statistics import Tally
from trimtab.store import Store

SPAN = {"since": START, "until": START + timedelta(minutes=5)}


def counted(store: Store, version: int, stage: Stage, *, answers: int, errors: int, took_s: float = 0.010) -> None:
    tally = Tally(stage)
    for _ in range(answers):
        tally.answered(2, took_s)
    tally.errors = errors
    Counting(store, {("late", version, ""): tally}).flush()


def test_rates_and_quantiles(store: Store) -> None:
    counted(store, 1, "full", answers=15, errors=5)
    counted(store, 1, "canary", answers=10, errors=0)  # another gateway, before a change of routing
    found = failures(store, "late", version=1, **SPAN)  # type: ignore[arg-type]
    assert (found.requests, found.errors, found.rows) == (30, 5, 50)
    assert found.error_rate == pytest.approx(5 / 30)
    assert found.p99_s == pytest.approx(0.010, rel=0.04)


def test_a_shadow_is_judged_by_what_it_did_as_one(store: Store) -> None:
    counted(store, 2, "shadow", answers=3, errors=1)
    assert failures(store, "late", version=2, **SPAN).error_rate == 0.25  # type: ignore[arg-type]
    counted(store, 2, "canary", answers=2, errors=0)
    assert failures(store, "late", version=2, **SPAN).error_rate == 0.0  # type: ignore[arg-type]
    assert failures(store, "late", version=2, stages=("shadow",), **SPAN).errors == 1  # type: ignore[arg-type]


def test_nobody_asked(store: Store) -> None:
    found = failures(store, "late", version=1, **SPAN)  # type: ignore[arg-type]
    assert (found.requests, found.error_rate, found.p50_s) == (0, None, None)
    with pytest.raises(TrimtabError, match="is not after"):
        failures(store, "late", version=1, since=START, until=START)
