"""The gateway: the three ways to ask, who answers, what is logged, and what happens when something is wrong."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.serving.gateways import problem_of, raw, serve
from tests.serving.late import (
    INPUTS,
    NAMES,
    NOON,
    VIEW,
    FakeReleases,
    ask_for,
    facts,
    gateway_of,
    history,
    plain,
    route,
    some_rows,
    trained,
)
from tests.waiting import PATIENCE_S

from trimtab.features import OnlineStore, fill
from trimtab.kernel import Conflict, Invalid, NotFound, Refused, SystemClock, VirtualClock
from trimtab.serving import (
    Ask,
    Gateway,
    Input,
    NotRecorded,
    decisions,
    find_decision,
    sealed_segments,
)
from trimtab.store import Store


@pytest.fixture
def online(sqlite_store: Store, clock: VirtualClock) -> Iterator[OnlineStore]:
    clock.advance_to(NOON)
    opened = OnlineStore(sqlite_store.settings.home_path / "online.db")
    fill(opened, VIEW, facts(), now=NOON)
    yield opened
    opened.close()


def test_raw_features_are_answered_as_the_model_answers(
    store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    releases.release(store, 1, models[1])
    route(store, releases)
    frame, _ = history(30, seed=3)
    rows = plain(frame)
    answer = serve(gateway_of(store, releases), lambda g: g.infer("late", ask_for(rows)))
    np.testing.assert_array_equal(answer.outputs["probability"], models[1].predict_proba(frame)[:, 1])
    assert answer.outputs["label"] == models[1].predict(frame).tolist()
    found = [find_decision(store, id_) for id_ in answer.decision_ids]
    assert [list(one.values) for one in found] == rows
    assert [one.result["probability"] for one in found] == answer.outputs["probability"]
    assert {(one.source, one.stage, one.reason, one.key) for one in found} == {("raw", "full", "champion", None)}
    assert {one.release for one in found} == {releases.released["late", 1].release}


def test_an_entity_key_reads_the_rest_online(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], online: OnlineStore
) -> None:
    releases.release(sqlite_store, 1, models[1], view=VIEW)
    route(sqlite_store, releases)
    gateway = gateway_of(sqlite_store, releases, online=online)
    answer = serve(gateway, lambda g: g.infer("late", Ask(columns={"flight_id": ["F1", "F4"]})))

    first, second = [find_decision(sqlite_store, id_) for id_ in answer.decision_ids]
    assert first.source == "key"
    assert first.key == {"flight_id": "F1"}
    assert first.columns == NAMES
    assert first.values == ("JFK", "B6", 501.0, 13, 30.0 - 1 + 1)
    # Decided at 11:00, two hours before 13:00, so the weather of 11:00 was the newest.
    assert first.as_of == NOON - timedelta(hours=1)
    assert first.ages_s == (None, None, None, None, 0.0)
    # F4 is decided at 14:00; asked at noon, it is answered with what is known at noon.
    assert second.as_of == NOON
    assert second.values == ("JFK", "AA", 504.0, 16, 31.0)


def test_request_fields_read_the_rest_online(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], online: OnlineStore
) -> None:
    releases.release(sqlite_store, 1, models[1], view=VIEW)
    route(sqlite_store, releases)
    fields = {"origin": ["EWR"], "carrier": ["UA"], "distance": [733.0], "scheduled": ["2013-03-01T13:30:00Z"]}
    gateway = gateway_of(sqlite_store, releases, online=online)
    answer = serve(gateway, lambda g: g.infer("late", Ask(columns=fields)))
    one = find_decision(sqlite_store, answer.decision_ids[0])
    assert (one.source, one.values) == ("context", ("EWR", "UA", 733.0, 13, 29.0))
    assert one.key == {"scheduled": "2013-03-01T13:30:00Z"}
    named = serve(gateway, lambda g: g.infer("late", Ask(columns={**fields, "flight_id": [7.0]})))
    key = find_decision(sqlite_store, named.decision_ids[0]).key
    assert key == {"flight_id": "7", "scheduled": "2013-03-01T13:30:00Z"}
    assert one.ages_s == (None, None, None, None, 1800.0)
    assert one.as_of == NOON - timedelta(minutes=30)


BAD = {
    "missing": (raw(weather_temp=None), "weather_temp is missing"),
    "unknown": (raw(colour=["red"]), "no input colour"),
    "nothing": (Ask(), "no inputs"),
    "no rows": (raw(**{name: [] for name in NAMES}), "0 rows"),
    "lengths": (raw(distance=[1.0, 2.0]), "different lengths"),
    "lengths of the first": (raw(origin=["EWR", "JFK"]), "different lengths"),
    "text for a number": (raw(distance=["far"]), "'far' is not a value for distance"),
    "yes for a number": (raw(distance=[True]), "'True' is not a value for distance"),
    "number for a text": (raw(origin=[3]), "'3' is not a value for origin"),
    "half an hour": (raw(scheduled_hour=[13.5]), "'13.5' is not a value for scheduled_hour"),
    "huge hour": (raw(scheduled_hour=[2**70]), "not a value for scheduled_hour"),
    "huge number": (raw(distance=[10**400]), "not a value for distance"),
    "infinite": (raw(distance=[float("inf")]), "infinite"),
    "list": (raw(distance=[[1.0]]), "not a value for distance"),
    "matrix": (Ask(matrix=np.zeros((2, 5))), "matrix with 5 columns"),
    "too many rows": (raw(**{name: [None] * 10_001 for name in NAMES}), "10,001 rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained_and_leaves_nothing_behind(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], name: str
) -> None:
    releases.release(sqlite_store, 1, models[1])
    route(sqlite_store, releases)
    ask, what = BAD[name]
    error = problem_of(gateway_of(sqlite_store, releases), ask)
    assert isinstance(error, Invalid)
    assert what in error.what
    assert decisions(sqlite_store, "late") == []


ONLINE_BAD = {
    "unknown key": (Ask(columns={"flight_id": ["F99"]}), NotFound),
    "key of another kind": (Ask(columns={"flight_id": [2.0**60]}), Invalid),
    "key that nobody has, as a number": (Ask(columns={"flight_id": [7]}), NotFound),
    "field missing": (Ask(columns={"origin": ["EWR"], "carrier": ["UA"]}), Invalid),
    "no time": (
        Ask(columns={"origin": ["EWR"], "carrier": ["UA"], "distance": [1.0], "scheduled": ["noon"]}), Invalid,
    ),
    "long ago": (
        Ask(columns={"origin": ["EWR"], "carrier": ["UA"], "distance": [1.0], "scheduled": ["2001-01-01"]}), Conflict,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONLINE_BAD)
def test_bad_keys_and_fields_are_explained(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], online: OnlineStore, name: str
) -> None:
    releases.release(sqlite_store, 1, models[1], view=VIEW)
    route(sqlite_store, releases)
    ask, kind = ONLINE_BAD[name]
    assert isinstance(problem_of(gateway_of(sqlite_store, releases, online=online), ask), kind)
    assert decisions(sqlite_store, "late") == []


def test_missing_values_are_refused_only_where_the_model_never_saw_one(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    strict = tuple(Input(name=i.name, kind=i.kind, categories=i.categories, nullable=False) for i in INPUTS)
    releases.release(sqlite_store, 1, models[1])
    releases.release(sqlite_store, 1, trained(1), model="strict", inputs=strict)
    route(sqlite_store, releases)
    route(sqlite_store, releases, endpoint="strict", model="strict")

    async def both(gateway: Gateway) -> None:
        for name in NAMES:
            missing = [*some_rows(1)[0]]
            missing[NAMES.index(name)] = None
            await gateway.infer("late", ask_for([missing]))
            with pytest.raises(Invalid, match=f"{name} is missing"):
                await gateway.infer("strict", ask_for([missing]))

    serve(gateway_of(sqlite_store, releases), both)


def test_unknown_endpoints_and_versions_are_named(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2, 3):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, shadow=(2,))

    async def ask(gateway: Gateway) -> None:
        with pytest.raises(NotFound, match="no endpoint"):
            await gateway.infer("nowhere", raw())
        with pytest.raises(NotFound, match="version 3 is not routed"):
            await gateway.infer("late", ask_for(some_rows(1), version=3))
        with pytest.raises(Refused, match="is a shadow"):
            await gateway.infer("late", ask_for(some_rows(1), version=2))
        answer = await gateway.infer("late", ask_for(some_rows(3), version=1))
        assert find_decision(sqlite_store, answer.decision_ids[2]).reason == "version 1 was asked for"

    serve(gateway_of(sqlite_store, releases), ask)


def test_a_batch_is_split_between_versions_row_by_row(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, canary={2: 40.0})
    frame, _ = history(500, seed=3)
    gateway = gateway_of(sqlite_store, releases)
    answer = serve(gateway, lambda g: g.infer("late", ask_for(plain(frame))))

    assert answer.versions is not None
    share = answer.versions.count(2) / 500
    assert abs(share - 0.4) < 4 * (0.24 / 500) ** 0.5
    alone = {version: models[version].predict_proba(frame)[:, 1] for version in (1, 2)}
    assert answer.outputs["probability"] == [alone[version][i] for i, version in enumerate(answer.versions)]
    for id_, version in zip(answer.decision_ids, answer.versions, strict=True):
        one = find_decision(sqlite_store, id_) if version == 2 else None
        if one is not None:
            assert (one.version, one.stage, one.reason) == (2, "canary", "canary 40% by id")
            break
    assert {f.version: f.rows for f in gateway.status()[0].figures} == {
        1: answer.versions.count(1), 2: answer.versions.count(2),
    }  # fmt: skip


def test_sticky_rows_stay_with_their_version(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, canary={2: 50.0}, sticky_by="carrier")
    rows = [row for row in some_rows(300) if row[1] is not None]

    async def twice(gateway: Gateway) -> list[Any]:
        return [await gateway.infer("late", ask_for(rows)) for _ in range(2)]

    first, second = serve(gateway_of(sqlite_store, releases), twice)
    met: dict[str, set[int]] = {}
    for answer in (first, second):
        versions = answer.versions or [answer.version] * len(rows)
        for row, version in zip(rows, versions, strict=True):
            met.setdefault(row[1], set()).add(version)
    assert all(len(versions) == 1 for versions in met.values())


def test_a_shadow_sees_everything_answers_nothing_and_is_compared(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    for version in (1, 2):
        releases.release(sqlite_store, version, models[version])
    route(sqlite_store, releases, shadow=(2,))
    frame, _ = history(200, seed=3)
    gateway = gateway_of(sqlite_store, releases)

    async def some(gateway: Gateway) -> list[Any]:
        return [await gateway.infer("late", ask_for(plain(frame)[i : i + 20])) for i in range(0, 200, 20)]

    answers = serve(gateway, some)

    ids = [id_ for answer in answers for id_ in answer.decision_ids]
    assert {answer.version for answer in answers} == {1}
    mirrored = [one for one in decisions(sqlite_store, "late", limit=1000) if one.stage == "shadow"]
    assert sorted(one.mirrors for one in mirrored) == sorted(ids)  # type: ignore[type-var]
    assert {one.version for one in mirrored} == {2}
    ours, theirs = (models[version].predict_proba(frame)[:, 1] for version in (1, 2))
    figures = next(f for f in gateway.status()[0].figures if f.version == 2)
    assert (figures.compared, figures.dropped, figures.errors) == (200, 0, 0)
    assert figures.mean_difference == pytest.approx(np.abs(ours - theirs).mean())
    assert figures.same_label == pytest.approx(((ours > 0.5) == (theirs > 0.5)).mean())


def test_a_fault_of_the_background_is_not_its_end(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.release(sqlite_store, 1, models[1])
    route(sqlite_store, releases, 1)
    gateway = gateway_of(sqlite_store, releases)
    called = threading.Semaphore(0)

    def bad_sector() -> None:
        called.release()
        raise OSError(5, "Input/output error")

    async def watch(gateway: Gateway) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(gateway.log, "sync", bad_sector)
            await gateway.infer("late", raw())
            for _ in range(2):
                assert await asyncio.to_thread(called.acquire, timeout=PATIENCE_S)

    serve(gateway, watch)
    assert len(sealed_segments(sqlite_store, "late")) == 1


def test_a_canary_with_other_inputs_leaves_requests_that_it_cannot_read_to_the_champion(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    fewer = INPUTS[:4]
    frame, late = history(100)
    other = trained(1).__class__(max_iter=3, categorical_features="from_dtype").fit(frame[list(NAMES[:4])], late)
    releases.release(sqlite_store, 1, models[1])
    releases.release(sqlite_store, 2, other, inputs=fewer)
    route(sqlite_store, releases, 1, canary={2: 100.0})

    async def ask(gateway: Gateway) -> Any:
        return await gateway.infer("late", raw()), await gateway.infer("late", raw(weather_temp=None))

    for_all, for_few = serve(gateway_of(sqlite_store, releases), ask)
    assert (for_all.version, for_few.version) == (1, 2)
    assert "other inputs" in find_decision(sqlite_store, for_all.decision_ids[0]).reason


def test_what_cannot_be_logged_is_not_answered(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.release(sqlite_store, 1, models[1])
    route(sqlite_store, releases)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    async def ask(gateway: Gateway) -> None:
        await gateway.infer("late", raw())
        with monkeypatch.context() as patch:
            patch.setattr("os.write", full)
            with pytest.raises(NotRecorded):
                await gateway.infer("late", raw())
        await gateway.infer("late", raw())
        assert gateway.status()[0].figures[0].errors == 1

    serve(gateway_of(sqlite_store, releases), ask)
    assert len(decisions(sqlite_store, "late")) == 2


def test_a_gateway_that_stops_leaves_sealed_segments_only(
    store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    releases.release(store, 1, models[1])
    route(store, releases)
    answer = serve(gateway_of(store, releases), lambda g: g.infer("late", ask_for(some_rows(5))))
    (segment,) = sealed_segments(store, "late")
    assert segment.count == 5
    assert find_decision(store, answer.decision_ids[0]).version == 1


def test_latency_is_measured_on_the_path_that_serves(sqlite_store: Store, models: dict[int, Any]) -> None:
    import io

    import pyarrow.parquet as pq
    from tests.serving.late import parquet_of

    from trimtab.serving import measure_latency

    sample = pq.read_table(io.BytesIO(parquet_of(history(40, seed=9)[0])))
    found = measure_latency(models[1], sample, inputs=INPUTS, measured_at=NOON, n=200, clock=SystemClock())
    assert found.n == 200
    p99 = found.metrics["p99"].value
    assert p99 is not None
    assert 0 < p99 < 0.1
