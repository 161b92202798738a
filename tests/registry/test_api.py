"""The registry's routes, called as the server calls them."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.registry.cases import BOB, registered

from trimtab.kernel import Call, Invalid, NotFound, Permission
from trimtab.registry import GateFailed, Status, get_version, routes
from trimtab.registry.api import AliasRequest, ApproveRequest, ReasonRequest
from trimtab.store import ReasonMissing, Store, events

VERSION = "/api/v1/models/{model}/versions/{version}"


def ask(
    store: Store, method: str, path: str, request: Any = None, *, query: Mapping[str, str] | None = None, **parts: str
) -> Any:
    """Call the route's handler and check that its answer has the promised type and is JSON."""
    route = next(one for one in routes(store) if (one.method, one.path) == (method, path))
    call = Call(actor=BOB, because="by hand", path=parts, query=query or {})
    answer = route.handler(call) if request is None else route.handler(call, request)
    assert isinstance(answer, route.response)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=route.response) == answer
    return answer


def test_a_version_goes_from_candidate_to_release(store: Store) -> None:
    registered(store)
    late = {"model": "late", "version": "1"}
    approval = ask(store, "POST", f"{VERSION}/approve", ApproveRequest(because="better"), **late)
    assert (approval.because, approval.by) == ("better", BOB)
    assert ask(store, "GET", f"{VERSION}/approval", **late).valid
    release = ask(store, "POST", f"{VERSION}/release", **late)
    model = ask(
        store, "PUT", "/api/v1/models/{model}/aliases/{alias}", AliasRequest(version=1), model="late", alias="champion"
    )
    assert model.aliases == {"champion": 1}
    shown = ask(store, "GET", VERSION, model="late", version="champion")
    assert (shown.aliases, shown.approvals, shown.releases) == (["champion"], [approval], [release])
    assert ask(store, "DELETE", "/api/v1/models/{model}/aliases/{alias}", model="late", alias="champion").aliases == {}
    revoked = ask(store, "POST", "/api/v1/releases/{id}/revoke", ReasonRequest(because="x"), id=release.statement.id)
    assert revoked.release == release.statement.id
    assert ask(store, "POST", f"{VERSION}/retire", ReasonRequest(), **late).status is Status.RETIRED


def test_lists_page(store: Store) -> None:
    for i in range(3):
        registered(store, model=bytes([i]), evaluation_id=None)
    page = ask(store, "GET", "/api/v1/models/{model}/versions", model="late", query={"limit": "2"})
    assert [version.number for version in page.items] == [3, 2]
    rest = ask(store, "GET", "/api/v1/models/{model}/versions", model="late", query={"cursor": page.next})
    assert [version.number for version in rest.items] == [1]
    assert [model.name for model in ask(store, "GET", "/api/v1/models").items] == ["late"]
    assert ask(store, "GET", "/api/v1/models/{model}", model="late").versions == 3


def test_mistakes_are_named(sqlite_store: Store) -> None:
    registered(sqlite_store, passes=False)
    late = {"model": "late", "version": "1"}
    with pytest.raises(GateFailed):
        ask(sqlite_store, "POST", f"{VERSION}/approve", ApproveRequest(), **late)
    assert events(sqlite_store)[-1].data["code"] == "registry.gate-failed"
    with pytest.raises(NotFound):
        ask(sqlite_store, "GET", VERSION, model="late", version="9")
    with pytest.raises(NotFound):
        ask(sqlite_store, "GET", VERSION, model="other", version="1")
    for version in ("0", "../1", "x y"):
        with pytest.raises(Invalid):
            ask(sqlite_store, "GET", VERSION, model="late", version=version)
    for limit in ("0", "501", "-1", "x", "1" * 40):
        with pytest.raises(Invalid, match="limit is"):
            ask(sqlite_store, "GET", "/api/v1/models", query={"limit": limit})
    assert get_version(sqlite_store, "late@1").status is Status.CANDIDATE


def test_a_reason_is_asked_of_the_request_too(sqlite_store: Store) -> None:
    registered(sqlite_store)
    route = next(one for one in routes(sqlite_store) if one.path.endswith("/reject"))
    with pytest.raises(ReasonMissing):
        route.handler(Call(actor=BOB, path={"model": "late", "version": "1"}), ReasonRequest())


def test_deciding_needs_the_permission_to_approve(sqlite_store: Store) -> None:
    for route in routes(sqlite_store):
        expected = Permission.READ if route.method == "GET" else Permission.APPROVE
        assert route.permission is expected, route.path
