"""Paired routing: while a canary runs, champion and canaries are compared on the very same rows."""

import asyncio
import functools
import threading
from typing import Any

import pytest
from tests.serving.late import FakeReleases, ask_for, gateway_of, history, plain, route
from tests.waiting import PATIENCE_S

from trimtab.serving import Ask, Decision, Gateway, counts_between, decisions
from trimtab.store import Store


def answered(store: Store, releases: FakeReleases, asks: list[Ask]) -> tuple[Gateway, list[Decision]]:
    """Send requests one after the other, let the shadows finish, and return everything that was logged."""

    async def whole() -> Gateway:
        gateway = gateway_of(store, releases)
        await gateway.start()
        for ask in asks:
            await gateway.infer("late", ask)
        await gateway.settled()
        await gateway.stop()
        return gateway

    gateway = asyncio.run(whole())
    return gateway, decisions(store, "late", limit=10_000)


@pytest.mark.parametrize("rows_each", [1, 20])
def test_paired_versions_see_each_row_once_each(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], rows_each: int
) -> None:
    for version in (1, 2, 3):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, canary={2: 20.0, 3: 20.0}, paired=True)
    rows = plain(history(200, seed=3)[0])
    asks = [ask_for(rows[i : i + rows_each]) for i in range(0, 200, rows_each)]

    _, logged = answered(sqlite_store, releases, asks)

    own = {one.id: one for one in logged if one.stage != "shadow"}
    assert len(own) == 200
    assert {one.version for one in own.values()} == {1, 2, 3}
    seen: dict[str, set[int]] = {id_: {one.version} for id_, one in own.items()}
    for one in logged:
        if one.stage == "shadow":
            assert one.mirrors is not None
            assert one.version not in seen[one.mirrors]
            seen[one.mirrors].add(one.version)
            assert own[one.mirrors].values == one.values
    assert set(map(frozenset, seen.values())) == {frozenset({1, 2, 3})}
    assert len(logged) == 600


def test_each_mirror_predicts_its_own_row(sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, canary={2: 50.0}, paired=True)
    frame, _ = history(100, seed=3)

    _, logged = answered(sqlite_store, releases, [ask_for(plain(frame))])

    expected = {version: models[version].predict_proba(frame)[:, 1] for version in (1, 2)}
    at = {id_: place for place, id_ in enumerate(sorted(one.id for one in logged if one.stage != "shadow"))}
    for one in logged:
        assert one.result["probability"] == pytest.approx(expected[one.version][at[one.mirrors or one.id]], abs=1e-12)


def test_without_paired_nobody_mirrors_and_without_a_canary_nothing_is_mirrored(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    asks = [ask_for(plain(history(20, seed=4)[0]))]
    route(sqlite_store, releases, canary={2: 50.0})
    assert len(answered(sqlite_store, releases, asks)[1]) == 20
    route(sqlite_store, releases, paired=True)
    assert len(answered(sqlite_store, releases, asks)[1]) == 40


def test_what_a_version_mirrors_is_no_part_of_its_figures_as_an_answerer(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, canary={2: 50.0}, paired=True)
    asks = [ask_for([row]) for row in plain(history(60, seed=5)[0])]

    gateway, logged = answered(sqlite_store, releases, asks)

    now = sqlite_store.clock.now()
    own = {version: sum(one.version == version and one.stage != "shadow" for one in logged) for version in (1, 2)}
    assert min(own.values()) > 10
    figures = {one.version: one.requests for one in gateway.status()[0].figures}
    assert figures == own
    for version in (1, 2):
        span = {"version": version, "since": now, "until": now.replace(minute=5)}
        answers = counts_between(sqlite_store, "late", stages=("full", "canary"), **span)
        mirrors = counts_between(sqlite_store, "late", stages=("shadow",), **span)
        assert (answers.requests, answers.rows) == (own[version], own[version])
        assert mirrors.rows == 60 - own[version]
        assert answers.latency.n == own[version]


def test_shadows_that_take_long_hold_no_thread_that_an_answer_waits_for(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2, 3):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, shadow=(2, 3))
    let_go = threading.Event()

    async def whole() -> list[int]:
        gateway = gateway_of(sqlite_store, releases)
        await gateway.start()
        served = gateway.route("late")
        for shadow in served.shadows:
            predict = shadow.loaded.runtime.predict
            waits = functools.partial(_after, let_go, predict)
            monkeypatch.setattr(shadow.loaded.runtime, "predict", waits)
        monkeypatch.setattr(served.champion.batcher, "expected_s", lambda _rows: 1.0)  # so that it runs on a thread
        try:
            asks = [ask_for([row]) for row in plain(history(10, seed=4)[0])]
            return [(await asyncio.wait_for(gateway.infer("late", ask), PATIENCE_S)).version for ask in asks]
        finally:
            let_go.set()
            await gateway.stop()

    assert asyncio.run(whole()) == [1] * 10
    assert len(decisions(sqlite_store, "late", limit=100)) == 30


def _after(event: threading.Event, predict: Any, rows: Any) -> Any:
    event.wait()
    return predict(rows)
