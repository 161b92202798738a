"""Serving's routes, called as the server calls them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.serving.late import ACTOR, FakeReleases, ask_for, gateway_of, some_rows

from trimtab.kernel import Call, Invalid, NotFound, Permission, Refused
from trimtab.serving import Canary, Gateway, routes
from trimtab.serving.api import ENDPOINT, RemoveRequest, RouteRequest
from trimtab.store import Store

ROUTING = f"{ENDPOINT}/routing"


class World:
    """A store whose versions are released, and its gateway."""

    def __init__(self, store: Store, releases: FakeReleases, gateway: Gateway) -> None:
        self.store, self.releases, self.gateway = store, releases, gateway

    def ask(
        self, method: str, path: str, request: Any = None, *, query: Mapping[str, str] | None = None, **parts: str
    ) -> Any:
        """Call a route's handler and check that its answer has the promised type and is JSON."""
        found = routes(self.store, self.gateway, self.releases)
        route = next(one for one in found if (one.method, one.path) == (method, path))
        call = Call(actor=ACTOR, because="by hand", path=parts, query=query or {})
        answer = route.handler(call) if request is None else route.handler(call, request)
        assert isinstance(answer, route.response)
        assert msgspec.json.decode(msgspec.json.encode(answer), type=route.response) == answer
        return answer


@pytest.fixture
def world(store: Store, releases: FakeReleases, models: dict[int, Any]) -> World:
    for version in (1, 2, 3):
        releases.release(store, version, models[version])
    return World(store, releases, gateway_of(store, releases))


def test_an_endpoint_is_routed_shown_and_removed(world: World) -> None:
    request = RouteRequest(champion=1, canary=(Canary(version=2, percent=5.0),), shadow=(3,))
    routed = world.ask("PUT", ROUTING, request, endpoint="late")
    assert (routed.endpoint.routing.model, routed.endpoint.revision, routed.status) == ("late", 1, None)

    async def served() -> tuple[Any, list[str]]:
        await world.gateway.start()
        answer = await world.gateway.infer("late", ask_for(some_rows(7)))
        shown = await asyncio.to_thread(world.ask, "GET", ENDPOINT, endpoint="late")
        await world.gateway.stop()
        return shown, answer.decision_ids

    shown, ids = asyncio.run(served())
    assert shown.status.ready
    assert {one.stage for one in shown.status.figures} == {"full", "canary", "shadow"}
    assert sum(one.rows for one in shown.status.figures if one.stage != "shadow") == 7
    assert [one.endpoint.routing.champion for one in world.ask("GET", "/api/v1/endpoints").items] == [1]

    page = world.ask("GET", f"{ENDPOINT}/decisions", query={"limit": "4"}, endpoint="late")
    rest = world.ask("GET", f"{ENDPOINT}/decisions", query={"cursor": page.next}, endpoint="late")
    answered = [one.id for one in [*page.items, *rest.items] if one.stage != "shadow"]
    assert answered == sorted(ids, reverse=True)
    assert rest.next is None
    assert world.ask("GET", "/api/v1/decisions/{id}", id=ids[0]).id == ids[0]
    assert world.ask("GET", f"{ENDPOINT}/decisions", query={"since": "2014-01-01"}, endpoint="late").items == []
    assert sum(one.count for one in world.ask("GET", f"{ENDPOINT}/segments", endpoint="late").items) == 14

    assert world.ask("DELETE", ENDPOINT, RemoveRequest(), endpoint="late").endpoint == "late"
    with pytest.raises(NotFound):
        world.ask("GET", ENDPOINT, endpoint="late")


def test_mistakes_are_named(world: World) -> None:
    with pytest.raises(NotFound):
        world.ask("GET", "/api/v1/decisions/{id}", id="nothing")
    with pytest.raises(Refused):
        world.ask("PUT", ROUTING, RouteRequest(champion=9), endpoint="late")
    for query in ({"limit": "0"}, {"limit": "many"}, {"since": "soon"}):
        with pytest.raises(Invalid):
            world.ask("GET", f"{ENDPOINT}/decisions", query=query, endpoint="late")


def test_changing_who_answers_needs_more_than_reading(world: World) -> None:
    for route in routes(world.store, world.gateway, world.releases):
        assert route.permission is (Permission.READ if route.method == "GET" else Permission.APPROVE)
