"""What is served follows what is routed: under load, after faults, and each endpoint by itself."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.serving.gateways import problem_of, raw, serve
from tests.serving.late import (
    FakeReleases,
    ask_for,
    gateway_of,
    history,
    route,
    some_rows,
)
from tests.waiting import PATIENCE_S, wait_until_async

from trimtab.kernel import NotFound, Settings
from trimtab.serving import (
    Gateway,
    NotReady,
    Released,
    decisions,
    remove_endpoint,
)
from trimtab.store import Store, open_store


def test_routing_changes_under_load_with_no_failed_request(
    tmp_path: Path, releases: FakeReleases, models: dict[int, Any]
) -> None:
    store = open_store(Settings(home=str(tmp_path / "home")))
    for version in (1, 2, 3):
        releases.release(store, version, models[version])
    route(store, releases, 1)
    rows = some_rows(40)
    versions: list[int] = []

    async def load(gateway: Gateway, stop: asyncio.Event) -> None:
        place = 0
        while not stop.is_set():
            answer = await gateway.infer("late", ask_for([rows[place % 40]]))
            versions.append(answer.version)
            place += 1
            if place % 50 == 0:
                await asyncio.sleep(0)

    async def switch(gateway: Gateway) -> None:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(load(gateway, stop)) for _ in range(8)]
        for champion, canary in ((1, {2: 30.0}), (2, {}), (2, {3: 50.0}), (3, {}), (1, {})):
            await asyncio.to_thread(route, store, releases, champion, canary=canary)
            await wait_until_async(lambda c=champion, k=canary: _is_routed(gateway, c, k), "it is routed")  # type: ignore[misc]
            enough = len(versions) + 50
            await wait_until_async(lambda e=enough: len(versions) > e, "requests are answered")  # type: ignore[misc]
        stop.set()
        await asyncio.gather(*tasks)

    try:
        serve(gateway_of(store, releases), switch)
        assert set(versions) == {1, 2, 3}
        # Every answer stands in the log, under the version that gave it.
        logged = decisions(store, "late", limit=10**6)
        assert len(logged) == len(versions)
    finally:
        store.close()


def _is_routed(gateway: Gateway, champion: int, canary: dict[int, float]) -> bool:
    routing = gateway.route("late").routing
    return routing.champion == champion and {c.version for c in routing.canary} == set(canary)


def test_another_process_takes_the_change_up_by_polling(
    store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(store, version, models[version])

    async def watch(gateway: Gateway) -> None:
        assert gateway.status() == []
        await asyncio.to_thread(route, store, releases, 1)
        await wait_until_async(lambda: gateway.ready("late"), "it is loaded")
        await asyncio.to_thread(route, store, releases, 2)
        await wait_until_async(lambda: gateway.target("late").version == 2, "the change is taken up")

        def remove() -> None:
            from tests.serving.late import ACTOR

            with store.change(ACTOR, "gone") as change:
                remove_endpoint(change, "late")

        await asyncio.to_thread(remove)
        await wait_until_async(lambda: not gateway.ready("late"), "it is gone")
        with pytest.raises(NotFound):
            await gateway.infer("late", raw())

    serve(gateway_of(store, releases), watch)


def test_at_the_start_everything_is_verified_again(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    released = {version: releases.release(sqlite_store, version, models[version]) for version in (1, 2, 3)}
    route(sqlite_store, releases, 1, canary={2: 50.0}, shadow=(3,))
    path = sqlite_store.blobs.local_path(released[2].digest)
    path.chmod(0o644)
    path.write_bytes(b"swapped on disk")
    releases.withdraw("late", 3)

    async def look(gateway: Gateway) -> Any:
        answers = [await gateway.infer("late", ask_for(some_rows(50)))]
        return answers, gateway.status()[0]

    (answer,), status = serve(gateway_of(sqlite_store, releases), look)
    assert answer.version == 1
    assert answer.versions is None
    assert status.ready
    assert any("late@2" in problem for problem in status.problems)
    assert any("late@3" in problem for problem in status.problems)

    releases.withdraw("late", 1)
    error = problem_of(gateway_of(sqlite_store, releases), raw())
    assert isinstance(error, NotReady)
    assert "late@1" in error.what


def test_what_nobody_expected_of_one_endpoint_leaves_the_others_alone(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, 1)
    route(sqlite_store, releases, 2, endpoint="other")
    real = releases.checked

    def bad_sector(model: str, version: int) -> Released:
        if version == 1:
            raise OSError(5, "Input/output error")
        return real(model, version)

    monkeypatch.setattr(releases, "checked", bad_sector)

    async def look(gateway: Gateway) -> Any:
        return await gateway.infer("other", raw()), gateway.status()

    answer, (late, other) = serve(gateway_of(sqlite_store, releases), look)
    assert answer.version == 2
    assert (late.endpoint, late.ready, other.ready) == ("late", False, True)
    assert "OSError" in late.problems[0]


def test_a_change_that_cannot_be_served_leaves_the_old_routing_in_force(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, 1)

    async def swap(gateway: Gateway) -> Any:
        path = sqlite_store.blobs.local_path(releases.released["late", 2].digest)
        path.chmod(0o644)
        path.write_bytes(b"swapped on disk")
        await asyncio.to_thread(route, sqlite_store, releases, 2)
        await wait_until_async(lambda: gateway.status()[0].problems, "it was tried")
        return await gateway.infer("late", raw()), gateway.status()[0]

    answer, status = serve(gateway_of(sqlite_store, releases), swap)
    assert answer.version == 1
    assert "late@2" in status.problems[0]
    assert status.routing.champion == 1


def test_what_is_withdrawn_while_it_is_served_leaves_its_place(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2, 3):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, 1, canary={2: 50.0}, shadow=(3,))

    async def withdraw(gateway: Gateway) -> None:
        await gateway.recheck()
        assert (await gateway.infer("late", ask_for(some_rows(50)))).versions is not None
        for version in (2, 3):
            releases.withdraw("late", version)
        await gateway.recheck()
        assert (await gateway.infer("late", ask_for(some_rows(50)))).versions is None
        assert {f.version for f in gateway.status()[0].figures} == {1}
        assert len(gateway.status()[0].problems) == 2
        releases.withdraw("late", 1)
        await gateway.recheck()
        with pytest.raises(NotReady, match="late@1 has no release"):
            await gateway.infer("late", raw())

    serve(gateway_of(sqlite_store, releases), withdraw)


def test_a_canary_that_answers_in_another_form_is_not_put_in_place(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    frame, late = history(100)
    regressor = HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype").fit(frame, late)
    releases.release(sqlite_store, 1, models[1])
    releases.release(sqlite_store, 2, regressor, task="regression")
    route(sqlite_store, releases, 1, canary={2: 50.0})

    async def look(gateway: Gateway) -> Any:
        return await gateway.infer("late", ask_for(some_rows(50))), gateway.status()[0].problems

    answer, problems = serve(gateway_of(sqlite_store, releases), look)
    assert answer.versions is None
    assert "another form" in problems[0]


class SlowReleases(FakeReleases):
    """A gate that takes its time with one version, as a large model on a slow disk does."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.slow: tuple[str, int] | None = None

    def checked(self, model: str, version: int) -> Released:
        if (model, version) == self.slow and threading.current_thread().name.startswith("trimtab-load"):
            assert self.let_go.wait(PATIENCE_S)
        return super().checked(model, version)


def test_an_endpoint_that_takes_long_to_load_holds_up_no_other(sqlite_store: Store, models: dict[int, Any]) -> None:
    releases = SlowReleases()
    for model in ("late", "early"):
        for version in (1, 2):
            releases.release(sqlite_store, version, models[version], model=model)
        route(sqlite_store, releases, endpoint=model, model=model)

    async def act(gateway: Gateway) -> None:
        releases.slow = ("early", 2)
        route(sqlite_store, releases, 2, endpoint="early", model="early")
        await wait_until_async(lambda: gateway._served._building, "it loads")
        route(sqlite_store, releases, 2)
        await wait_until_async(lambda: gateway.snapshot.routes["late"].champion.version == 2, "the other is loaded")
        assert (await gateway.infer("early", ask_for(some_rows(1)))).version == 1, "the old route answers meanwhile"
        releases.let_go.set()
        await wait_until_async(lambda: gateway.snapshot.routes["early"].champion.version == 2, "it is loaded too")

    serve(gateway_of(sqlite_store, releases), act)
