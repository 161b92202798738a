"""Who gets in: hosts, origins, tokens."""

from datetime import timedelta

import httpx
import pytest

from trimtab.kernel import Actor, Conflict, Invalid, NotFound, Permission, VirtualClock, parse_time
from trimtab.server import has_active_token, is_loopback, issue_token, list_tokens, recognise, revoke_token
from trimtab.server.doors import COOKIE
from trimtab.store import Store

READ = "/api/v1/notes/a"


def _issue(
    store: Store, actor: Actor, permission: Permission, name: str = "bot", expires_in_s: float | None = None
) -> str:
    with store.change(actor, "test") as change:
        return issue_token(change, name, permission=permission, expires_in_s=expires_in_s).secret


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8400",
        "testserver.evil.example",
        "",
        "127.0.0.1@x",
        "x@testserver",
        "[::1",
        "[x]",
        "testserver/x",
    ],
)
def test_a_name_of_another_machine_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.get(READ, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "server.foreign-host")
    assert client.get("/nothing", headers={"Host": host}).status_code == 403


def test_the_port_of_the_host_does_not_matter(client: httpx.Client) -> None:
    assert client.get(READ, headers={"Host": "testserver:81"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ({"Origin": "http://testserver"}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
    ],
)
def test_a_change_is_asked_for_from_this_servers_own_pages(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    assert client.post("/api/v1/notes", json={"text": "a"}, headers=headers).status_code == status
    assert client.get(READ, headers=headers).status_code == 200


def test_a_far_caller_shows_a_token(far_client: httpx.Client, sqlite_store: Store, actor: Actor) -> None:
    answer = far_client.get(READ)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    secret = _issue(sqlite_store, actor, Permission.READ)
    assert far_client.get(READ, headers=_bearer(secret)).json()["by"] == "bot"
    assert far_client.get(READ, headers={"Cookie": f"{COOKIE}={secret}"}).json()["by"] == "bot"
    assert far_client.get(READ, headers=_bearer(secret[:-1])).status_code == 401
    assert far_client.get(READ, headers={"Authorization": f"Basic {secret}"}).status_code == 401


@pytest.mark.parametrize("permission", [p for p in Permission if p is not Permission.PUBLIC])
def test_a_token_does_what_it_was_issued_for(
    far_client: httpx.Client, sqlite_store: Store, actor: Actor, permission: Permission
) -> None:
    headers = _bearer(_issue(sqlite_store, actor, permission))
    expected = {
        "read": [200, 403, 403], "predict": [200, 200, 403], "write": [200, 200, 201], "approve": [200, 200, 201],
        "admin": [200, 200, 201],
    }[permission.value]  # fmt: skip
    found = [
        far_client.get(READ, headers=headers).status_code,
        far_client.put("/api/v1/raw", content=b"x", headers=headers).status_code,
        far_client.post("/api/v1/notes", json={"text": "a"}, headers=headers).status_code,
    ]
    assert found == expected


def test_a_wrong_token_is_refused_on_the_own_machine_too(client: httpx.Client) -> None:
    assert client.get(READ, headers=_bearer("trimtab_wrong")).status_code == 401


def test_a_revoked_token_ends_within_seconds(
    far_client: httpx.Client, sqlite_store: Store, actor: Actor, clock: VirtualClock
) -> None:
    headers = _bearer(_issue(sqlite_store, actor, Permission.READ))
    assert far_client.get(READ, headers=headers).status_code == 200
    with sqlite_store.change(actor, "left the team") as change:
        revoke_token(change, "bot")
    clock.sleep(6)
    assert far_client.get(READ, headers=headers).status_code == 401


def test_a_token_ends_at_its_time(store: Store, actor: Actor, clock: VirtualClock) -> None:
    secret = _issue(store, actor, Permission.READ, expires_in_s=60)
    now = clock.now()
    assert recognise(store, secret, now=now + timedelta(seconds=59)) is not None
    assert recognise(store, secret, now=now + timedelta(seconds=60)) is None
    assert has_active_token(store)
    clock.sleep(60)
    assert not has_active_token(store)


def test_the_secret_is_kept_nowhere(store: Store, actor: Actor) -> None:
    secret = _issue(store, actor, Permission.READ)
    with store.read() as connection:
        for table in ("server_tokens", "ledger_events"):
            assert secret[4:] not in str(connection.exec_driver_sql(f"SELECT * FROM {table}").all())
    (token,) = list_tokens(store)
    assert (token.name, token.actor.id, token.created_at) == ("bot", "bot", parse_time("2013-03-01", where="test"))


def test_a_name_that_two_active_tokens_have_does_not_say_which(store: Store, actor: Actor) -> None:
    for _ in range(2):
        _issue(store, actor, Permission.READ)
    with pytest.raises(Conflict), store.change(actor) as change:
        revoke_token(change, "bot")
    first, second = list_tokens(store)
    with store.change(actor) as change:
        revoke_token(change, first.id)
    with pytest.raises(Conflict, match="already revoked"), store.change(actor) as change:
        revoke_token(change, first.id)
    with store.change(actor) as change:
        revoke_token(change, "bot")
    assert {token.state(store.clock.now()) for token in list_tokens(store)} == {"revoked"}
    with pytest.raises(NotFound), store.change(actor) as change:
        revoke_token(change, "nobody")
    assert second.state(store.clock.now()) == "active"


@pytest.mark.parametrize(
    ("name", "permission", "expires_in_s"),
    [("", "read", None), ("a b", "read", None), ("a\n", "read", None), ("a", "public", None), ("a", "read", 0.0),
     ("a", "read", float("nan"))],
)  # fmt: skip
def test_a_token_that_makes_no_sense_is_not_issued(
    sqlite_store: Store, actor: Actor, name: str, permission: str, expires_in_s: float | None
) -> None:
    with pytest.raises(Invalid), sqlite_store.change(actor) as change:
        issue_token(change, name, permission=Permission(permission), expires_in_s=expires_in_s)
    assert list_tokens(sqlite_store) == ()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
