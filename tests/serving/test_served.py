"""What is served follows what is routed: under load, after faults, and each endpoint by itself."""

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.forging import by_sql
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
    Ask,
    DeadlinePassed,
    Gateway,
    Input,
    ModelStuck,
    NotReady,
    Released,
    ServingLimits,
    decisions,
    remove_endpoint,
    sealed_segments,
    sealing,
    served,
)
from trimtab.serving import gateway as gateway_module
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


def test_a_route_that_somebody_wrote_by_sql_keeps_no_other_from_its_changes(
    store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(store, version, models[version])
    route(store, releases, 1)
    route(store, releases, 1, endpoint="other")

    def problems(gateway: Gateway) -> str:
        (late,) = (one for one in gateway.status() if one.endpoint == "late")
        return str(late.problems)

    async def session(gateway: Gateway) -> None:
        written = "UPDATE serving_routes SET routing = replace(routing, '\"champion\":1', '\"champion\":2')"
        by_sql(store, f"{written} WHERE endpoint = 'late'")
        await wait_until_async(lambda: "not what the ledger says" in problems(gateway), "it is seen at once")
        await asyncio.to_thread(route, store, releases, 2, endpoint="other")
        await wait_until_async(lambda: gateway.target("other").version == 2, "the other is taken up")
        assert "not what the ledger says" in problems(gateway)
        assert gateway.target("late").version == 1, "served on as it was"
        by_sql(store, "DELETE FROM serving_routes WHERE endpoint = 'late'")
        await wait_until_async(lambda: "taken out" in problems(gateway), "it is missed")
        assert gateway.target("late").version == 1

    serve(gateway_of(store, releases), session)


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


class Held:
    """Stands in front of a model: its calls end when the test says so."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, endpoint: str = "late") -> None:
        self.let_go = threading.Event()
        self.calls = 0
        target = gateway.target(endpoint)
        self._predict = target.loaded.runtime.predict
        monkeypatch.setattr(target.loaded.runtime, "predict", self.predict)
        monkeypatch.setattr(target.loaded.runtime, "steady", False)
        monkeypatch.setattr(target.batcher, "_on_loop", False)

    def predict(self, rows: Any) -> Any:
        self.calls += 1
        self.let_go.wait(PATIENCE_S)
        return self._predict(rows)


def test_stuck_requests_of_one_endpoint_stop_no_slow_model_of_another(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("late", "early"):
        releases.release(sqlite_store, 1, models[1], model=model)
        route(sqlite_store, releases, endpoint=model, model=model)

    async def act(gateway: Gateway) -> None:
        held = Held(gateway, monkeypatch)
        monkeypatch.setattr(gateway.target("early").batcher, "_on_loop", False)
        stuck = [asyncio.create_task(gateway.infer("late", ask_for(some_rows(1)))) for _ in range(10)]
        await wait_until_async(lambda: held.calls, "the model is called")
        assert (await asyncio.wait_for(gateway.infer("early", ask_for(some_rows(1))), PATIENCE_S)).version == 1
        for one in stuck:
            with pytest.raises(DeadlinePassed):
                await one
        await wait_until_async(lambda: gateway.status()[1].lost_calls, "its calls are given up")
        assert "calls of late@1 do not end" in gateway.status()[1].problems[0]
        figures = gateway.status()[1].figures[0]
        assert (figures.errors, figures.late) == (10, 10)
        held.let_go.set()
        await wait_until_async(lambda: not gateway.status()[1].problems, "they have ended")

    serve(gateway_of(sqlite_store, releases, limits=ServingLimits(deadline_s=0.5)), act)
    assert len(decisions(sqlite_store, "late")) == 0, "who was told that it is late has no decision"
    assert len(decisions(sqlite_store, "early")) == 1


def test_an_endpoint_that_is_stuck_is_not_ready_and_the_others_are(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("late", "early"):
        releases.release(sqlite_store, 1, models[1], model=model)
        route(sqlite_store, releases, endpoint=model, model=model)

    async def act(gateway: Gateway) -> None:
        held = Held(gateway, monkeypatch)
        while not gateway.target("late").batcher.is_stuck:
            with pytest.raises(DeadlinePassed):
                await gateway.infer("late", ask_for(some_rows(1)))
            await asyncio.sleep(0.1)
        assert (gateway.ready("late"), gateway.ready("early")) == (False, True)
        with pytest.raises(ModelStuck):
            gateway.check_ready("late")
        assert gateway.check_ready("early").version == 1
        held.let_go.set()
        await wait_until_async(lambda: gateway.ready("late"), "it is ready again")

    serve(gateway_of(sqlite_store, releases, limits=ServingLimits(deadline_s=0.1)), act)


def test_an_input_that_takes_long_stops_no_other_endpoint(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    counts = (Input(name="count", kind="int", nullable=False),)
    sample = io.BytesIO()
    pq.write_table(pa.table({"count": [1, 2, 3]}), sample)
    releases.release(
        sqlite_store, 1, None, model="loops", format="onnx", inputs=counts, task="regression",
        digest=sqlite_store.blobs.put(counting_graph()), sample=sqlite_store.blobs.put(sample.getvalue()),
    )  # fmt: skip
    releases.release(sqlite_store, 1, models[1])
    route(sqlite_store, releases, endpoint="loops", model="loops")
    route(sqlite_store, releases)

    async def act(gateway: Gateway) -> bool:
        quick = await gateway.infer("loops", Ask(columns={"count": [5]}))
        assert quick.outputs["prediction"] == [5.0]
        slow = asyncio.create_task(gateway.infer("loops", Ask(columns={"count": [1_000_000]})))
        await asyncio.sleep(0)
        await gateway.infer("late", ask_for(some_rows(1)))
        was_done = slow.done()
        await slow
        return was_done

    assert serve(gateway_of(sqlite_store, releases, limits=ServingLimits(deadline_s=PATIENCE_S)), act) is False


def counting_graph() -> bytes:
    """A graph that adds one as often as its input says: quick for small numbers, and for large ones not."""
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "one"], ["more"])],
        "body",
        [info("turn", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("sum", TensorProto.FLOAT, [1])],
        [info("go_on", TensorProto.BOOL, []), info("more", TensorProto.FLOAT, [1])],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["count"], ["most"], keepdims=0),
            helper.make_node("Loop", ["most", "yes", "zero"], ["reached"], body=body),
            helper.make_node("Mul", ["count_as_float", "none"], ["nothing"]),
            helper.make_node("Cast", ["count"], ["count_as_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["nothing", "reached"], ["wide"]),
            helper.make_node("Reshape", ["wide", "flat"], ["prediction"]),
        ],
        "counting",
        [info("count", TensorProto.INT64, [None, 1])],
        [info("prediction", TensorProto.FLOAT, [None])],
        [
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("none", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),
        ],
    )
    graph.node.sort(key=lambda node: ["ReduceMax", "Loop", "Cast", "Mul", "Add", "Reshape"].index(node.op_type))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def test_the_start_waits_for_no_endpoint_whose_loading_hangs_and_no_other_waits_for_its_thread(
    sqlite_store: Store, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "LOAD_PATIENCE_S", 0.1)
    monkeypatch.setattr(served, "LOAD_S", 1.0)
    monkeypatch.setattr(served, "LOADERS", 1)
    releases = SlowReleases()
    for model in ("early", "late"):
        releases.release(sqlite_store, 1, models[1], model=model)
        route(sqlite_store, releases, endpoint=model, model=model)
    releases.slow = ("early", 1)

    async def act(gateway: Gateway) -> None:
        await wait_until_async(lambda: gateway.ready("late"), "the other is loaded")
        await wait_until_async(lambda: gateway.status()[0].problems, "it is told")
        with pytest.raises(NotReady, match="longer than 1 s"):
            await gateway.infer("early", ask_for(some_rows(1)))
        releases.let_go.set()
        await wait_until_async(lambda: gateway.ready("early"), "it is taken up when it has come back")

    serve(gateway_of(sqlite_store, releases), act)


def test_a_shadow_that_is_removed_ends_and_one_that_runs_holds_up_no_stop(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "SHADOWS_S", 0.1)
    for version in (1, 2, 3):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, shadow=(2, 3))
    let_go = threading.Event()
    seen: dict[int, int] = {2: 0, 3: 0}

    async def act() -> list[Any]:
        gateway = gateway_of(sqlite_store, releases)
        await gateway.start()
        shadows = {one.version: one for one in gateway.route("late").shadows}
        for version, target in shadows.items():

            def predict(rows: Any, version: int = version, really: Any = target.loaded.runtime.predict) -> Any:
                if threading.current_thread().name.startswith("trimtab-shadow"):
                    seen[version] += 1
                    let_go.wait(PATIENCE_S)
                return really(rows)

            monkeypatch.setattr(target.loaded.runtime, "predict", predict)
        for row in some_rows(20):
            await gateway.infer("late", ask_for([row]))
        await wait_until_async(lambda: all(seen.values()), "the shadows are in their first call")
        await asyncio.to_thread(route, sqlite_store, releases, shadow=(3,))
        await wait_until_async(lambda: gateway.shadows("late") == (3,), "one is removed")
        await asyncio.wait_for(gateway.stop(), PATIENCE_S)
        assert not let_go.is_set(), "the stop did not wait"
        let_go.set()
        await wait_until_async(lambda: all(one.tally.dropped == 20 for one in shadows.values()), "they drop the rest")
        return [one.tally.rows for one in shadows.values()]

    assert asyncio.run(act()) == [0, 0]
    assert seen == {2: 1, 3: 1}
    assert len(decisions(sqlite_store, "late", limit=100)) == 20


def test_start_and_stop_wait_for_no_sealing_and_the_next_start_resumes_it(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "SEAL_S", 0.1)
    monkeypatch.setattr(sealing, "HERE_BYTES", 0)
    # The process that converts a segment takes for ever.
    monkeypatch.setattr(sealing, "_COMMAND", "import time; time.sleep(1e6)")
    releases.release(sqlite_store, 1, models[1])
    route(sqlite_store, releases)
    for _ in range(2):  # the second start meets what the first has left
        serve(gateway_of(sqlite_store, releases), lambda gateway: gateway.infer("late", ask_for(some_rows(1))))
    assert sealed_segments(sqlite_store, "late") == []
    assert len(decisions(sqlite_store, "late")) == 2
    monkeypatch.undo()

    async def resumed(_gateway: Gateway) -> None:
        await wait_until_async(lambda: len(sealed_segments(sqlite_store, "late")) == 2, "they are sealed")

    serve(gateway_of(sqlite_store, releases), resumed)
    assert len(decisions(sqlite_store, "late")) == 2
