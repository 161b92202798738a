"""Query parameters: declared with the route, described, read, and refused when nobody reads them."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from trimtab.kernel import Route
from trimtab.server import Rooms, application, doors_of, is_described, openapi_of
from trimtab.server.api import Live
from trimtab.server.api import routes as own_routes
from trimtab.store import Store


@pytest.fixture
def rooms(sqlite_store: Store) -> Rooms:
    return Rooms(sqlite_store)


@pytest.fixture
def routes(rooms: Rooms) -> list[Route]:
    """Every operation for programs, as the server lists them."""
    live = Live(rooms.events)
    doors = doors_of(rooms.store, rooms.store.settings)
    own = own_routes(rooms.store, doors, missing=lambda: "", endpoints=dict, live=live)
    return [route for route in [*rooms.routes(), *own] if is_described(route)]


@pytest.fixture
def client(rooms: Rooms) -> Iterator[TestClient]:
    app = application(rooms.store, doors_of(rooms.store, rooms.store.settings), rooms=rooms, live=Live(rooms.events))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def test_what_a_handler_reads_is_declared_and_the_other_way_round(routes: list[Route]) -> None:
    read = {f"{route.method} {route.path}": names_read(route.handler) for route in routes}
    declared = {f"{route.method} {route.path}": {one.name for one in route.query} for route in routes}
    assert read == declared
    assert sum(map(len, read.values())) > 30, "the reading of the sources finds nothing any more"


def test_every_parameter_is_described(routes: list[Route]) -> None:
    document = openapi_of(routes, version="1")
    listed = {
        (method.upper(), path): {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "query"}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert set(listed["GET", "/api/v1/events"]) == {
        "type", "actor", "about", "since", "until", "order", "limit", "cursor"
    }  # fmt: skip
    assert listed["GET", "/api/v1/events"]["limit"]["schema"] == {
        "type": "integer", "minimum": 1, "maximum": 1000, "default": 100
    }  # fmt: skip
    assert listed["GET", "/api/v1/events"]["since"]["schema"] == {"type": "string", "format": "date-time"}
    assert "running" in listed["GET", "/api/v1/pipeline-runs"]["status"]["schema"]["enum"]
    assert listed["GET", "/api/v1/runs/{id}/file"]["name"]["required"]
    for names in listed.values():
        assert all(one["description"].endswith((".", "`", "...")) for one in names.values())


def test_a_name_that_nobody_reads_is_refused_everywhere(client: TestClient, routes: list[Route]) -> None:
    asked = 0
    for route in routes:
        if route.path == "/api/v1/live":
            continue  # a stream without an end
        path = route.path.replace("{", "").replace("}", "")
        answer = client.request(route.method, path, params={"limt": "1"}, json={} if route.request else None)
        if answer.status_code == 400 and answer.json()["code"] == "server.unknown-parameter":
            asked += 1
            assert answer.json()["where"] == f"{route.method} {route.path}: query limt"
        else:  # the body is read first
            assert route.request is not None, (route.path, answer.text)
    assert asked > 40


def test_a_typo_says_what_there_is(client: TestClient) -> None:
    answer = client.get("/api/v1/events", params={"abuot": "version:late@1"})
    assert answer.status_code == 400
    assert answer.json()["what"] == "there is no parameter 'abuot' here"
    assert answer.json()["next"] == "use type, actor, about, since, until, order, limit, cursor"
    assert client.get("/api/v1/me", params={"x": "1"}).json()["next"] == "leave out 'x': this operation has none"


@pytest.mark.parametrize(
    ("name", "value"), [("about", "late@1"), ("about", "version:"), ("order", "oldest first"), ("since", "yesterday")]
)
def test_a_value_that_narrows_nothing_is_refused(client: TestClient, name: str, value: str) -> None:
    answer = client.get("/api/v1/events", params={name: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert name in answer.json()["where"]


def test_a_page_may_be_asked_anything(client: TestClient) -> None:
    """Addresses of pages travel by mail, and mail programs add parameters of their own."""
    assert client.get("/ui", params={"utm_source": "mail"}, follow_redirects=True).status_code == 200


def names_read(function: Callable[..., Any]) -> set[str]:
    """The query names that a handler reads, itself or through functions that it passes its call to."""
    function = inspect.unwrap(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return _names_in(tree, function, {})


def _names_in(tree: ast.AST, function: Any, given: dict[str, str]) -> set[str]:
    """``given`` holds the texts that stand for the function's own parameters."""
    known = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="get", value=value), args=[name, *_]) if _is_query(value):
                found.add(_text(name, given))
            case ast.Subscript(value=value, slice=name) if _is_query(value):
                found.add(_text(name, given))
            case ast.Compare(left=name, ops=[ast.In()], comparators=[value]) if _is_query(value):
                found.add(_text(name, given))
            case ast.Call(func=ast.Attribute(attr="id_cursor")):
                found.add("cursor")
            case ast.Call(func=ast.Attribute(attr="limit", value=ast.Name(id="call"))):
                found.add("limit")
            case ast.Call(func=ast.Name(id=called), args=args) if any(_passes(one) for one in args):
                helper = known.get(called)
                if inspect.isfunction(helper) and helper is not function:
                    found |= _names_in(
                        ast.parse(textwrap.dedent(inspect.getsource(helper))), helper, _bound(helper, args, given)
                    )
    return found


def _is_query(value: ast.expr) -> bool:
    return (isinstance(value, ast.Attribute) and value.attr == "query") or (
        isinstance(value, ast.Name) and value.id in ("query", "values")
    )


def _passes(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Name) and argument.id in ("call", "query")


def _bound(helper: Any, args: list[ast.expr], given: dict[str, str]) -> dict[str, str]:
    return {
        name: given.get(value.id, value.id) if isinstance(value, ast.Name) else str(value.value)
        for name, value in zip(inspect.signature(helper).parameters, args, strict=False)
        if isinstance(value, ast.Constant | ast.Name)
    }


def _text(name: ast.expr, given: dict[str, str]) -> str:
    match name:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=id_) if id_ in given:
            return given[id_]
    raise AssertionError(f"a query name that cannot be read from the source: {ast.unparse(name)}")
