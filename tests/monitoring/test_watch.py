"""Watching: every decision counts once in its hour, whenever, however often and after whatever crash it is taken."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.monitoring.served import ACTOR, HOUR, START, Served, move
from tests.waiting import PATIENCE_S

from trimtab.kernel import Settings, VirtualClock
from trimtab.monitoring import Outcome, WindowRow, performance, record_outcomes, watch, windows
from trimtab.monitoring.tables import monitoring_hours, monitoring_scores
from trimtab.store import Store, open_store


def hours(store: Store) -> dict[tuple[int, str, int], tuple[int, int, str]]:
    """Everything that was summed, by version, stage and hour."""
    with store.read() as connection:
        rows = connection.execute(select(monitoring_hours)).all()
    return {(row.version, row.stage, row.hour): (row.n, row.labelled, row.sums) for row in rows}


def test_hours_that_are_over_are_handed_out_once(store: Store) -> None:
    served = Served(store)
    ids, _, _ = served.hour(START, n=10)
    served.decide([0.5], at=START, version=2, stage="shadow", mirrors=ids[:1])
    assert watch(store, "late", until=START + HOUR) == ()  # it is not over yet
    move(store, START + HOUR)
    first, second = watch(store, "late", until=START + HOUR)
    assert first == WindowRow(
        endpoint="late", version=1, stage="full", since=START, until=START + HOUR, n=10, labelled=0
    )
    assert (second.version, second.stage, second.n) == (2, "shadow", 1)
    assert watch(store, "late", until=START + HOUR) == ()
    assert windows(store, "late", since=START, until=START + HOUR) == (first, second)
    assert windows(store, "late", since=START + HOUR, until=START + 2 * HOUR) == ()


def test_a_decision_that_comes_late_is_added_to_its_hour(store: Store) -> None:
    served = Served(store)
    ids = served.decide([0.4, 0.6], at=START)
    move(store, START + HOUR)
    watch(store, "late", until=START + HOUR)
    served.decide([0.5], at=START, version=2, stage="shadow", mirrors=ids[:1])
    move(store, START + 2 * HOUR)
    served.decide([0.9], at=START + HOUR, as_of=[START])  # asked an hour after its moment
    assert watch(store, "late", until=START + 2 * HOUR) == ()
    found = windows(store, "late", since=START, until=START + HOUR)
    assert {(row.version, row.stage): row.n for row in found} == {(1, "full"): 3, (2, "shadow"): 1}


def test_endpoints_are_watched_apart(store: Store) -> None:
    for endpoint in ("late", "early"):
        Served(store, endpoint).decide([0.5], at=START)
    move(store, START + HOUR)
    assert [row.endpoint for row in watch(store, "late", until=START + HOUR)] == ["late"]
    assert [row.endpoint for row in watch(store, "early", until=START + HOUR)] == ["early"]
    assert watch(store, "nobody", until=START + HOUR) == ()


def test_an_answer_without_a_number_counts_and_is_not_measured(store: Store) -> None:
    served = Served(store)
    ids = served.decide([float("nan"), 0.5], at=START)
    move(store, START + HOUR)
    (row,) = watch(store, "late", until=START + HOUR)
    assert row.n == 2
    record_outcomes(store, "late", [Outcome(decision=id_, value=1) for id_ in ids], actor=ACTOR)
    found = performance(store, "late", version=1, since=START, until=START + HOUR)
    assert (found.decisions, found.labelled) == (2, 1)
    assert found.value("log_loss") == pytest.approx(-np.log(0.5))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_sums_do_not_depend_on_when_anything_was_taken_or_known(
    tmp_path_factory: pytest.TempPathFactory, migrated: Path, data: st.DataObject
) -> None:
    """The same decisions and outcomes in any order, watched at any time, corrected on the way: bit for bit the same."""
    steps = data.draw(st.lists(st.sampled_from(["watch", "outcome", "wrong", "seal"]), max_size=12))
    order = data.draw(st.permutations(range(12)))
    plain = _story(_home(tmp_path_factory, migrated), [], list(range(12)))
    assert _story(_home(tmp_path_factory, migrated), steps, list(order)) == plain


def _home(factory: pytest.TempPathFactory, migrated: Path) -> Path:
    home = factory.mktemp("home")
    (home / "trimtab.db").write_bytes(migrated.read_bytes())
    return home


def _story(home: Path, steps: list[str], order: list[int]) -> Any:
    store = open_store(Settings(home=str(home)), clock=VirtualClock(START), seed=1)
    served = Served(store)
    scores = np.random.default_rng(7).random(12)
    ids = [served.decide([float(scores[i])], at=START + timedelta(minutes=10 * i))[0] for i in range(6)]
    rest = list(range(6, 12))
    known = iter(order)
    for step in steps:
        match step:
            case "watch":
                watch(store, "late", until=store.clock.now())
            case "seal":
                served.log.seal(also_open=None)
            case "outcome" | "wrong":
                i = next(known)
                if i < len(ids):
                    wrong = (i + 1) % 2 if step == "wrong" else i % 2
                    record_outcomes(store, "late", [Outcome(decision=ids[i], value=wrong, known_at=START)], actor=ACTOR)
        if rest:
            i = rest.pop(0)
            ids += served.decide([float(scores[i])], at=START + timedelta(minutes=10 * i))
    for i in rest:
        ids += served.decide([float(scores[i])], at=START + timedelta(minutes=10 * i))
    move(store, START + 3 * HOUR)
    outcomes = [Outcome(decision=ids[i], value=i % 2, known_at=START + HOUR) for i in order]
    record_outcomes(store, "late", outcomes, actor=ACTOR)
    watch(store, "late", until=START + 3 * HOUR)
    found = hours(store)
    store.close()
    return found


def test_many_who_watch_and_record_at_once_count_once(store: Store) -> None:
    served = Served(store)
    ids: list[str] = []
    for hour in range(4):
        ids += served.hour(START + hour * HOUR, n=25)[0]
    move(store, START + 4 * HOUR)
    said = [Outcome(decision=id_, value=1, known_at=START + 4 * HOUR) for id_ in ids]

    def work(place: int) -> None:
        for _ in range(3):
            watch(store, "late", until=START + 4 * HOUR)
            record_outcomes(store, "late", said[place * 20 : place * 20 + 40], actor=ACTOR)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = performance(store, "late", version=1, since=START, until=START + 4 * HOUR)
    assert (found.decisions, found.labelled, found.value("observed")) == (100, 100, 1.0)


KILLED = """
import sys, os, signal
from trimtab.kernel import Settings, VirtualClock
from trimtab.store import open_store
from trimtab.monitoring import watch
from sqlalchemy import event
from tests.monitoring.served import START, HOUR
store = open_store(Settings(home=sys.argv[1]), clock=VirtualClock(START + 3 * HOUR))
left = int(sys.argv[2])
def die(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(store.database._writer, "before_cursor_execute", die)
event.listen(store.database._writer, "commit", die)
watch(store, "late", until=START + 3 * HOUR)
"""


def test_a_kill_between_any_two_statements_leaves_all_or_nothing(sqlite_store: Store) -> None:
    served = Served(sqlite_store)
    for hour in range(3):
        ids, _, _ = served.hour(START + hour * HOUR, n=5)
        served.decide([0.5] * 5, at=START + hour * HOUR, version=2, stage="shadow", mirrors=ids)
    move(sqlite_store, START + 3 * HOUR)
    home = sqlite_store.settings.home
    killed = 0
    for statements in range(30):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
        done = subprocess.run(
            [sys.executable, "-c", KILLED, home, str(statements)], check=False, env=environment, timeout=PATIENCE_S
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
        with sqlite_store.read() as connection:
            assert connection.execute(select(monitoring_scores.c.id)).all() == []
        assert hours(sqlite_store) == {}
    assert killed >= 3
    assert sum(n for n, _, _ in hours(sqlite_store).values()) == 30
    assert watch(sqlite_store, "late", until=START + 3 * HOUR) == ()
