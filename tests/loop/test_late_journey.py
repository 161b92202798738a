"""Late labels from end to end on PostgreSQL: trained, judged, served, told what came of it, asked every hour.

A world in which nothing ever changes: a fraud is known after half a day on average, an honest payment after four.
Whoever judged what is known so far would see almost nothing but frauds among the payments of the last four days.
"""

import contextlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab.declare import load_project
from trimtab.evaluation import get_evaluation
from trimtab.kernel import Settings, VirtualClock
from trimtab.loop import Replay, ReplayReport, Turn, list_turns, report_of
from trimtab.monitoring import Performance, alerts, lately, performance
from trimtab.registry import list_versions
from trimtab.store import Store, VerificationKind, open_store, verify

FIRST, START, DAYS = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC), 9
ROWS_A_DAY, MATURES = 150, timedelta(days=4)
UTC_US = pa.timestamp("us", "UTC")
PROJECT = """
import trimtab as tt
from sklearn.linear_model import LogisticRegression


class Pay(tt.Contract):
    id: tt.Key[str]
    at: tt.EventTime
    x: tt.Float
    settled: tt.Time
    fraud: tt.Float = tt.known_at("settled")


pays = tt.source(Pay, path="PATH", name="pays", every="1h")
view = tt.features("pay", of=Pay, decided=Pay.at, columns=[Pay.x])


@tt.model(view, label=Pay.fraud > 0.5, matures="4d", train="all history", test="last 20 days")
def bad(X, y):
    return LogisticRegression().fit(X, y)


bad.accept_if(tt.auc >= 0.6)
bad.serve(rollout=tt.full)
bad.retrain_when(tt.log_loss.over("4d") > tt.at_approval * 1.10, at_most="once every 2 days", approve=tt.by("risk"))
"""


class World(NamedTuple):
    """The replayed world, its true log loss, and the rows: when decided, when known, and whether it was a fraud."""

    store: Store
    report: ReplayReport
    turns: list[Turn]
    truth: float
    at_us: np.ndarray
    known_us: np.ndarray
    fraud: np.ndarray


@pytest.fixture
def world(tmp_path: Path, postgres_url: str) -> Iterator[World]:
    random, day_us = np.random.default_rng(2), 86_400 * 10**6
    days = (START - FIRST).days + DAYS
    n = days * ROWS_A_DAY
    at = np.sort(random.integers(0, days * day_us, n)) + int(FIRST.timestamp() * 1e6)
    x = random.normal(size=n)
    p = 1 / (1 + np.exp(1.2 - 1.1 * x))
    fraud = random.random(n) < p
    known = at + np.where(fraud, random.exponential(day_us / 2, n).clip(max=3.9 * day_us), 4 * day_us).astype(np.int64)
    table = {"id": [f"p{i}" for i in range(n)], "at": pa.array(at, UTC_US), "x": x, "settled": pa.array(known, UTC_US)}
    pq.write_table(pa.table({**table, "fraud": fraud.astype(float)}), tmp_path / "pay.parquet")
    file = tmp_path / "fraud.py"
    file.write_text(PROJECT.replace("PATH", str(tmp_path / "pay.parquet")), "utf-8")
    settings = Settings(home=str(tmp_path / "home"), database=postgres_url, workers=1)
    with contextlib.chdir(tmp_path), closing(open_store(settings, clock=VirtualClock(START), seed=5)) as store:
        driver = Replay(store, load_project(file), start=START, end=START + timedelta(days=DAYS))
        driver.run(lambda _told: None)
        report = report_of(store, driver.model, start=START, end=START + timedelta(days=DAYS))
        truth = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
        yield World(store, report, list_turns(store), truth, at, known, fraud)


def test_a_model_of_late_labels_is_judged_by_what_is_final_and_left_alone(world: World) -> None:
    """The gate and the last four days that are final show the truth, no turn begins and nobody is paged."""
    store, now = world.store, START + timedelta(days=DAYS)
    version = list_versions(store, "bad", limit=1).items[0]
    evaluation = get_evaluation(store, version.evaluation_id or "").report.evaluation
    gate = evaluation.metrics["log_loss"]
    assert (evaluation.maturity.by, evaluation.maturity.after_s) == ("declared", MATURES.total_seconds())
    assert gate.low is not None
    assert gate.high is not None
    assert gate.low <= world.truth <= gate.high

    found = lately(store, "bad", version=version.number, over=timedelta(days=4))
    assert found.until == found.mature_until == now - MATURES
    check_against_rows(world, found)
    seen = found.metrics["log_loss"]
    assert seen.low is not None
    assert seen.high is not None
    assert seen.low <= world.truth <= seen.high

    young = performance(store, "bad", version=version.number, since=now - MATURES, until=now)
    assert (young.labelled, young.metrics["log_loss"].value) == (0, None)
    assert young.decisions > ROWS_A_DAY * MATURES.days * 0.8
    both = performance(store, "bad", version=version.number, since=found.since, until=now)
    assert both.metrics == found.metrics
    assert both.decisions == found.decisions + young.decisions

    assert len(world.turns) == 1  # the first version's
    assert (world.report.turns, world.report.pages, world.report.rolled_back) == (0, 0, 0)
    assert world.report.mature_until == now - MATURES
    assert world.report.loss == pytest.approx(world.truth, abs=0.06)
    assert [one.group for one in alerts(store) if one.kind == "performance" or one.group == "quality:labels"] == []
    assert verify(store).kind is VerificationKind.INTACT


def check_against_rows(world: World, found: Performance) -> None:
    """Hold the counts against the rows themselves, and show what would have been seen too early."""
    since, until = (int(at.timestamp() * 1e6) for at in (found.since, found.until))
    final = (world.at_us >= since) & (world.at_us < until)
    assert found.decisions == found.labelled == np.count_nonzero(final)
    observed = found.metrics["observed"].value
    assert observed == pytest.approx(world.fraud[final].mean())
    now = int((START + timedelta(days=DAYS)).timestamp() * 1e6)
    known = (world.at_us >= until) & (world.known_us <= now)
    assert world.fraud[known].mean() > 0.95
