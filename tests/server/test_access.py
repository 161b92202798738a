"""Who gets where: every route of every room and face, asked with every permission, for everything and by name."""

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from tests.seeded import Seeded

from trimtab.kernel import EACH, GRANTED, PROJECT, Actor, Permission, Route
from trimtab.monitoring import alerts
from trimtab.server import Rooms, create_app, doors_of, issue_token
from trimtab.server.api import Live, described, routes
from trimtab.server.faces import faces_of
from trimtab.serving import decisions
from trimtab.store import Store, open_store
from trimtab.tracking import start_run

ADMIN = Actor("root")
INFERENCE = {
    "/v2": EACH, "/v2/health/ready": EACH, "/v2/models/mine": "mine", "/v2/models/mine/versions/1/ready": "mine",
    "/v2/models/other/infer": "other", "/v2//models/mine": EACH, "/v2/repository/index": PROJECT,
}  # fmt: skip
"""What a request to inference is about: an endpoint, nothing in particular, or all of it."""


ROUTING, RUNS = "/api/v1/endpoints/late/routing", "/api/v1/runs"
BODIES = {ROUTING: {"model": "mine", "champion": 1}, RUNS: {"experiment": "mine"}}


def whole(store: Store) -> tuple[Starlette, list[Route]]:
    """Return the whole application, not started, and every route that it answers."""
    with store.change(ADMIN, "without a token it would not listen") as change:
        issue_token(change, "first", may=["admin"])
    rooms, live = Rooms(store), Live(lambda: 0)
    live.stopping = True  # its stream ends at once
    doors = doors_of(store, msgspec.structs.replace(store.settings, hosts="testserver"))
    found = [*rooms.routes(), *routes(rooms.store, doors, missing=rooms.missing, endpoints=rooms.endpoints, live=live)]
    found.append(described(found))
    faces = faces_of(rooms, doors, found)
    app = create_app(found, doors=doors, ids=store.ids, faces=faces)
    return app, [*found, *(route for face in faces for route in face.routes)]


def token(store: Store, *may: str) -> str:
    with store.change(ADMIN, "test") as change:
        return issue_token(change, "bot", may=may).secret


Asked = list[tuple[str, str, str]]
"""Requests: method, path, and the secret to show."""


def refused(app: Starlette, asked: Asked) -> list[bool]:
    """Send requests one after the other; say of each whether it was refused for want of a permission."""

    async def send() -> list[bool]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            answers = []
            for method, path, secret in asked:
                headers = {"Authorization": f"Bearer {secret}"}
                body = BODIES.get(path, {}) if method in ("POST", "PUT") else None
                answer = await client.request(method, path, headers=headers, json=body)
                assert answer.status_code != 401, path
                answers.append(answer.status_code == 403 and "--may" in answer.text)
            return answers

    return asyncio.run(send())


def address(route: Route, name: str) -> str:
    return re.sub(r"\{\w+(:\w+)?\}", name, route.path)


def test_a_permission_opens_the_routes_that_declare_it_and_no_other(sqlite_store: Store) -> None:
    app, every = whole(sqlite_store)
    assert len(every) > 120
    secrets = {permission: token(sqlite_store, permission) for permission in GRANTED}
    asked = [(route, permission) for route in every for permission in GRANTED]
    found = refused(app, [(route.method, address(route, "a"), secrets[held]) for route, held in asked])
    wrong = [
        f"{route.method} {route.path} with {held}"
        for (route, held), no in zip(asked, found, strict=True)
        if no is (route.permission in (held, Permission.PUBLIC))
    ]
    assert not wrong, wrong


def test_a_permission_for_a_name_opens_what_has_that_name_and_nothing_else(sqlite_store: Store) -> None:
    """With every permission for one name: what the path names is open, all else shut, and what is nobody's is open."""
    app, every = whole(sqlite_store)
    secret = token(sqlite_store, *(f"{permission}:mine" for permission in GRANTED))
    plain = [route for route in every if all(part.lookup is None for part in route.resource.parts)]
    for name in ("mine", "other"):
        found = refused(app, [(route.method, address(route, name), secret) for route in plain])
        for route, no in zip(plain, found, strict=True):
            named = [part.place for part in route.resource.parts]
            free = route.permission is Permission.PUBLIC or route.resource.each
            assert no is not (free or ("path" in named and name == "mine")) or "body" in named, (route.path, name)


@pytest.mark.parametrize(("path", "about"), INFERENCE.items())
def test_inference_is_asked_by_endpoint(sqlite_store: Store, path: str, about: object) -> None:
    app, _ = whole(sqlite_store)
    for may, opens in (("predict", True), ("predict:mine", about in (EACH, "mine")), ("read", False)):
        method = "POST" if path.endswith(("infer", "index")) else "GET"
        assert refused(app, [(method, path, token(sqlite_store, may))]) == [not opens], may


def test_a_body_names_what_a_request_is_about(sqlite_store: Store) -> None:
    """An endpoint is given to another model only by whoever may approve both; runs are logged in their experiment."""
    app, _ = whole(sqlite_store)
    asked = {
        ("PUT", ROUTING, "approve:late"): True, ("PUT", ROUTING, "approve:mine"): True,
        ("PUT", ROUTING, "approve:late,mine"): False, ("POST", RUNS, "log:mine"): False, ("POST", RUNS, "log:x"): True,
    }  # fmt: skip
    found = refused(app, [(method, path, token(sqlite_store, may)) for method, path, may in asked])
    assert dict(zip(asked, found, strict=True)) == asked


@pytest.fixture(scope="module")
def lived_in(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A copy of the seeded home: these tests change it."""
    home: Path = tmp_path_factory.mktemp("access") / "home"
    shutil.copytree(seeded.home, home)
    opened = open_store(msgspec.structs.replace(seeded, home=home).settings)
    yield opened
    opened.close()


def test_what_an_id_belongs_to_is_looked_up(lived_in: Store) -> None:
    app, _ = whole(lived_in)
    run = start_run(lived_in, experiment="mine", name="one", actor=ADMIN, capture=())
    run.finish()
    decision, turn_alert = decisions(lived_in, "slow", limit=1)[0].id, alerts(lived_in, endpoint="slow")[0].id
    found = {
        f"/api/v1/decisions/{decision}": "slow", f"/api/v1/decisions/{decision}/why": "slow",
        f"/ui/decisions/{decision}": "slow", f"/api/v1/alerts/{turn_alert}": "slow",
        f"/api/v1/runs/{run.id}": "mine", f"/ui/runs/{run.id}": "mine",
    }  # fmt: skip
    secrets = {name: token(lived_in, f"read:{name}") for name in ("slow", "mine")}
    asked = [(path, name) for path in found for name in secrets]
    answers = refused(app, [("GET", path, secrets[name]) for path, name in asked])
    assert answers == [found[path] != name for path, name in asked]


def test_a_list_shows_what_may_be_seen(lived_in: Store, client_for: Callable[..., httpx.Client]) -> None:
    rooms = Rooms(lived_in)
    client = client_for(lived_in, rooms.routes(), local=None)
    for may, expected in (("read", ["slow"]), ("read:slow,x", ["slow"]), ("read:other", [])):
        headers = {"Authorization": f"Bearer {token(lived_in, may)}"}
        endpoints = client.get("/api/v1/endpoints", headers=headers).json()["items"]
        assert [one["endpoint"]["routing"]["endpoint"] for one in endpoints] == expected
        assert [one["name"] for one in client.get("/api/v1/models", headers=headers).json()["items"]] == expected
        seen = {one["name"] for one in client.get("/api/v1/experiments", headers=headers).json()["items"]}
        assert seen == set(expected) if may != "read" else len(seen) > 1
