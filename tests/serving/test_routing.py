"""Routes as state: only released versions, one event for each change, what was before and what is after."""

from datetime import timedelta

import msgspec
import pytest
from tests.forging import by_sql
from tests.serving.late import ACTOR, FakeReleases, route

from trimtab.kernel import Invalid, NotFound, Refused, digest_of
from trimtab.serving import Canary, Released, Routing, get_endpoint, list_endpoints, remove_endpoint, set_routing
from trimtab.serving.routing import route_rows, routed
from trimtab.store import ReasonMissing, RowForged, Store, verify


@pytest.fixture
def gate(releases: FakeReleases) -> FakeReleases:
    for version in (1, 2, 3):
        releases.released["late", version] = Released(
            model="late", version=version, release=digest_of(version), format="skops", digest="", inputs=()
        )
    return releases


def events(store: Store) -> list[dict[str, object]]:
    with store.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT body FROM ledger_events WHERE type = 'serving.routing-changed' ORDER BY id"
        ).fetchall()
    return [msgspec.json.decode(row[0]) for row in rows]


def test_a_routing_is_kept_with_its_event(store: Store, gate: FakeReleases) -> None:
    route(store, gate, 1)
    route(store, gate, 1, canary={2: 25.0}, shadow=(3,), sticky_by="flight_id")

    now = get_endpoint(store, "late")
    assert (now.revision, now.changed_by) == (2, "tester")
    assert now.routing.canary == (Canary(version=2, percent=25.0),)
    assert [one.routing for one in list_endpoints(store)] == [now.routing]
    first, second = events(store)
    assert first["before"] is None
    assert second["before"] == first["after"]
    assert second["after"] == now.routing.digest
    assert second["data"]["was"]["canary"] == []  # type: ignore[index]
    assert {s["id"] for s in second["subjects"]} == {"late", "late@1", "late@2", "late@3"}  # type: ignore[attr-defined]
    assert second["data"]["releases"]["late@3"] == digest_of(3)  # type: ignore[index]


def test_the_same_routing_again_changes_nothing(store: Store, gate: FakeReleases) -> None:
    route(store, gate, 1)
    before = route_rows(store)
    with store.change(ACTOR, "again") as change:
        set_routing(change, Routing(endpoint="late", model="late", champion=1), releases=gate)
    assert route_rows(store) == before
    assert len(events(store)) == 1


@pytest.mark.parametrize("place", ["champion", "canary", "shadow"])
def test_a_version_without_a_release_is_refused_in_any_place(store: Store, gate: FakeReleases, place: str) -> None:
    route(store, gate, 1)
    gate.withdraw("late", 3)
    champion = 3 if place == "champion" else 1
    with pytest.raises(Refused) as caught:
        route(
            store,
            gate,
            champion,
            canary={3: 5.0} if place == "canary" else None,
            shadow=(3,) if place == "shadow" else (),
        )
    assert "trimtab approve late@3" in caught.value.next
    assert get_endpoint(store, "late").revision == 1
    assert len(events(store)) == 1


def test_a_release_for_another_endpoint_is_refused_in_any_place(store: Store, gate: FakeReleases) -> None:
    for version in (1, 2, 3):
        one = gate.released["late", version]
        gate.released["late", version] = msgspec.structs.replace(one, endpoint="late" if version < 3 else "early")
    route(store, gate, 1, shadow=(2,))
    for place in ({"champion": 3}, {"canary": {3: 5.0}}, {"shadow": (3,)}):
        with pytest.raises(Refused, match="late@3 is not approved for the endpoint late"):
            route(store, gate, place.pop("champion", 1), **place)  # type: ignore[arg-type, call-overload]
    other = Routing(endpoint="early", model="late", champion=1)
    with pytest.raises(Refused, match="for the endpoint early"), store.change(ACTOR, "there") as change:
        set_routing(change, other, releases=gate)
    assert get_endpoint(store, "late").revision == 1


def test_an_expired_release_keeps_its_place_and_finds_no_new_one(store: Store, gate: FakeReleases) -> None:
    for version in (1, 2, 3):
        one = gate.released["late", version]
        over = store.clock.now() + timedelta(hours=1)
        gate.released["late", version] = msgspec.structs.replace(one, expires_at=over)
    route(store, gate, 1, canary={2: 25.0})
    store.clock.sleep(3600)
    route(store, gate, 2, shadow=(1,))
    route(store, gate, 1)  # back to what stands beside it
    with pytest.raises(Refused, match="the approval of late@3 has expired") as caught:
        route(store, gate, 1, shadow=(3,))
    assert "goes on answering" in caught.value.why


@pytest.mark.parametrize(
    "routing",
    [
        Routing(endpoint="late", model="late", champion=1, canary=(Canary(version=2, percent=0.0),)),
        Routing(endpoint="late", model="late", champion=1, canary=(Canary(version=2, percent=101.0),)),
        Routing(
            endpoint="late", model="late", champion=1,
            canary=(Canary(version=2, percent=60.0), Canary(version=3, percent=60.0)),
        ),
        Routing(endpoint="late", model="late", champion=1, shadow=(1,)),
        Routing(endpoint="late", model="late", champion=1, canary=(Canary(version=2, percent=5.0),), shadow=(2,)),
        Routing(endpoint="../late", model="late", champion=1),
        Routing(endpoint="", model="late", champion=1),
        Routing(endpoint="a/b", model="late", champion=1),
        Routing(endpoint="x" * 101, model="late", champion=1),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_whoever_is_released(
    sqlite_store: Store, gate: FakeReleases, routing: Routing
) -> None:
    with pytest.raises(Invalid) as caught, sqlite_store.change(ACTOR, "try") as change:
        set_routing(change, routing, releases=gate)
    assert all(caught.value.parts().values())
    assert list_endpoints(sqlite_store) == []


def test_an_endpoint_can_be_removed(store: Store, gate: FakeReleases) -> None:
    route(store, gate, 1)
    with pytest.raises(ReasonMissing), store.change(ACTOR) as change:
        remove_endpoint(change, "late")
    with store.change(ACTOR, "no longer needed") as change:
        remove_endpoint(change, "late")
    assert route_rows(store) == {}
    assert events(store)[-1]["after"] is None
    with pytest.raises(NotFound):
        get_endpoint(store, "late")
    with pytest.raises(NotFound), store.change(ACTOR, "again") as change:
        remove_endpoint(change, "late")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE serving_routes SET routing = replace(routing, '\"champion\":1', '\"champion\":2')",
        "UPDATE serving_routes SET revision = 7",
        "DELETE FROM serving_routes",
        "UPDATE serving_routes SET endpoint = 'other'",
    ],
)
def test_a_route_that_was_written_by_sql_is_not_obeyed(store: Store, gate: FakeReleases, statement: str) -> None:
    route(store, gate, 1)
    assert [one.routing.champion for one in routed(store).endpoints.values()] == [1]
    by_sql(store, statement)
    found = routed(store, served=["late"])
    assert (found.endpoints, "late" in found.forged) == ({}, True)
    with pytest.raises(RowForged):
        route(store, gate, 2)
    assert verify(store).kind == "tampered"
