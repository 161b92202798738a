"""The routes, called as the server calls them."""

from typing import Any

import msgspec
import pytest
from tests.pipelines.conftest import pipeline, step

from trimtab.kernel import Actor, Call, Conflict, Invalid, NotFound, Permission, Route
from trimtab.pipelines import routes, submit
from trimtab.store import Store


class Server:
    def __init__(self, store: Store) -> None:
        self.woken = 0
        self.routes = routes(store, self.wake)

    def wake(self) -> None:
        self.woken += 1

    def find(self, method: str, path: str) -> Route:
        return next(
            route for route in self.routes if (route.method, route.path) == (method, f"/api/v1/pipeline-runs{path}")
        )

    def __call__(self, method: str, path: str, *, query: dict[str, str] | None = None, **values: str) -> Any:
        route = self.find(method, path)
        answer = route.handler(Call(actor=Actor("caller"), because="asked", path=values, query=query or {}))
        assert isinstance(answer, route.response)
        return msgspec.json.decode(msgspec.json.encode(answer))


@pytest.fixture
def server(store: Store) -> Server:
    return Server(store)


def test_runs_are_listed_by_pages_shown_cancelled_and_retried(store: Store, actor: Actor, server: Server) -> None:
    ids = [submit(store, pipeline(step("a"), step("b", needs=("a",))), actor=actor).id for _ in range(3)]
    first = server("GET", "", query={"limit": "2"})
    assert [run["id"] for run in first["items"]] == [ids[2], ids[1]]
    rest = server("GET", "", query={"limit": "2", "cursor": first["next"]})
    assert ([run["id"] for run in rest["items"]], rest["next"]) == ([ids[0]], None)
    assert server("GET", "/{run}", run=ids[0])["status"] == "queued"
    assert [found["name"] for found in server("GET", "/{run}/steps", run=ids[0])["items"]] == ["a", "b"]
    assert server("GET", "/{run}/steps/{step}/attempts", run=ids[0], step="a")["items"] == []
    log = server("GET", "/{run}/steps/{step}/log", run=ids[0], step="a", query={"offset": "0", "limit": "100"})
    assert log == {"attempt": 0, "text": "", "next_offset": 0, "is_complete": False}
    assert server("POST", "/{run}/cancel", run=ids[0])["status"] == "cancelled"
    assert server("GET", "", query={"status": "cancelled"})["items"][0]["id"] == ids[0]
    assert server("POST", "/{run}/retry", run=ids[0])["status"] == "queued"
    assert server.woken == 2


def test_mistakes_are_named(store: Store, actor: Actor, server: Server) -> None:
    run = submit(store, pipeline(step("a")), actor=actor).id
    for path in ("/{run}", "/{run}/steps"):
        with pytest.raises(NotFound):
            server("GET", path, run="nothing")
    for path in ("/{run}/steps/{step}/attempts", "/{run}/steps/{step}/log"):
        with pytest.raises(NotFound):
            server("GET", path, run=run, step="../../etc/passwd")
    for name, value in {"limit": "0", "status": "lost"}.items():
        with pytest.raises(Invalid):
            server("GET", "", query={name: value})
    for name, value in {"offset": "-1", "limit": "x", "attempt": "1"}.items():
        with pytest.raises(Invalid):
            server("GET", "/{run}/steps/{step}/log", run=run, step="a", query={name: value})
    with pytest.raises(Conflict):
        server("POST", "/{run}/retry", run=run)


def test_reading_needs_less_than_changing_and_nothing_submits(server: Server) -> None:
    assert {(route.method, route.permission) for route in server.routes} == {
        ("GET", Permission.READ),
        ("POST", Permission.REGISTER),
    }
    assert {route.path.rpartition("/")[2] for route in server.routes if route.method == "POST"} == {"cancel", "retry"}
