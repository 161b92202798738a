"""Who gets in: hosts, origins, tokens."""

from datetime import timedelta

import httpx
import pytest

from trimtab.kernel import (
    GRANTED,
    Actor,
    ActorKind,
    Conflict,
    Invalid,
    NotFound,
    Permission,
    VirtualClock,
    parse_time,
)
from trimtab.server import has_active_token, is_loopback, issue_token, list_tokens, recognise, revoke_token
from trimtab.server.doors import COOKIE
from trimtab.store import ReasonMissing, Store, events

READ = "/api/v1/notes/a"


def _issue(store: Store, actor: Actor, *may: str, name: str = "bot", expires_in_s: float | None = None) -> str:
    with store.change(actor, "test") as change:
        return issue_token(change, name, may=may, expires_in_s=expires_in_s).secret


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
    secret = _issue(sqlite_store, actor, "read")
    assert far_client.get(READ, headers=_bearer(secret)).json()["by"] == "bot"
    assert far_client.get(READ, headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 401  # a cookie holds a session
    assert far_client.get(READ, headers=_bearer(secret[:-1])).status_code == 401
    assert far_client.get(READ, headers={"Authorization": f"Basic {secret}"}).status_code == 401


@pytest.mark.parametrize("permission", GRANTED)
def test_a_token_does_what_it_was_issued_for_and_nothing_else(
    far_client: httpx.Client, sqlite_store: Store, actor: Actor, permission: Permission
) -> None:
    headers = _bearer(_issue(sqlite_store, actor, permission))
    found = [
        far_client.get(READ, headers=headers).status_code,
        far_client.put("/api/v1/raw", content=b"x", headers=headers).status_code,
        far_client.post("/api/v1/notes", json={"text": "a"}, headers=headers).status_code,
    ]
    expected = {Permission.READ: [200, 403, 403], Permission.PREDICT: [403, 200, 403], Permission.LOG: [403, 403, 201]}
    assert found == expected.get(permission, [403, 403, 403])


def test_a_token_for_some_names_is_refused_for_others(
    far_client: httpx.Client, sqlite_store: Store, actor: Actor
) -> None:
    headers = _bearer(_issue(sqlite_store, actor, "read:a,b", "log:a"))
    assert far_client.get("/api/v1/notes/b", headers=headers).status_code == 200
    refused = far_client.get("/api/v1/notes/c", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "server.not-allowed")
    assert refused.json()["next"] == "trimtab token create NAME --may read:c"
    # What is about the whole project is not about a alone.
    assert far_client.post("/api/v1/notes", json={"text": "a"}, headers=headers).status_code == 403


def test_a_wrong_token_is_refused_on_the_own_machine_too(client: httpx.Client) -> None:
    assert client.get(READ, headers=_bearer("trimtab_wrong")).status_code == 401


def test_a_revoked_token_ends_within_seconds(
    far_client: httpx.Client, sqlite_store: Store, actor: Actor, clock: VirtualClock
) -> None:
    headers = _bearer(_issue(sqlite_store, actor, "read"))
    assert far_client.get(READ, headers=headers).status_code == 200
    with sqlite_store.change(actor, "left the team") as change:
        revoke_token(change, "bot")
    clock.sleep(6)
    assert far_client.get(READ, headers=headers).status_code == 401


def test_a_token_ends_at_its_time(store: Store, actor: Actor, clock: VirtualClock) -> None:
    secret = _issue(store, actor, "read", expires_in_s=60)
    now = clock.now()
    assert recognise(store, secret, now=now + timedelta(seconds=59)) is not None
    assert recognise(store, secret, now=now + timedelta(seconds=60)) is None
    assert has_active_token(store)
    clock.sleep(60)
    assert not has_active_token(store)


def test_the_secret_is_kept_nowhere(store: Store, actor: Actor) -> None:
    secret = _issue(store, actor, "read")
    with store.read() as connection:
        for table in ("server_tokens", "ledger_events"):
            assert secret[4:] not in str(connection.exec_driver_sql(f"SELECT * FROM {table}").all())
    (token,) = list_tokens(store)
    assert (token.name, token.actor.id, token.created_at) == ("bot", "bot", parse_time("2013-03-01", where="test"))


def test_a_name_that_two_active_tokens_have_does_not_say_which(store: Store, actor: Actor) -> None:
    for _ in range(2):
        _issue(store, actor, "read")
    with pytest.raises(Conflict), store.change(actor, "over") as change:
        revoke_token(change, "bot")
    first, second = list_tokens(store)
    with pytest.raises(ReasonMissing), store.change(actor) as change:
        revoke_token(change, first.id)
    with store.change(actor, "over") as change:
        revoke_token(change, first.id)
    with pytest.raises(Conflict, match="already revoked"), store.change(actor, "over") as change:
        revoke_token(change, first.id)
    with store.change(actor, "over") as change:
        revoke_token(change, "bot")
    assert {token.state(store.clock.now()) for token in list_tokens(store)} == {"revoked"}
    with pytest.raises(NotFound), store.change(actor, "over") as change:
        revoke_token(change, "nobody")
    assert second.state(store.clock.now()) == "active"


@pytest.mark.parametrize(
    ("name", "may", "expires_in_s"),
    [("", ["read"], None), ("a b", ["read"], None), ("a\n", ["read"], None), ("a", ["public"], None), ("a", [], None),
     ("a", ["read:"], None), ("a", ["read:late,"], None), ("a", ["write"], None), ("a", ["read:a\nb"], None),
     ("a", ["read"], 0.0), ("a", ["read"], float("nan"))],
)  # fmt: skip
def test_a_token_that_makes_no_sense_is_not_issued(
    sqlite_store: Store, actor: Actor, name: str, may: list[str], expires_in_s: float | None
) -> None:
    with pytest.raises(Invalid), sqlite_store.change(actor) as change:
        issue_token(change, name, may=may, expires_in_s=expires_in_s)
    assert list_tokens(sqlite_store) == ()


def test_a_token_carries_who_stands_behind_it(store: Store, actor: Actor) -> None:
    """Issued by a token that was itself issued, it names both; and not for ever."""
    holder = actor
    for name in ("ops", "bob"):
        with store.change(holder, "test") as change:
            issued = issue_token(change, name, may=["admin"])
        found = recognise(store, issued.secret, now=store.clock.now())
        assert found is not None
        holder = found.actor
    assert (holder, str(holder)) == (
        Actor("bob", ActorKind.SERVICE, ("ops", "tester")), "bob (issued by ops, by tester)",
    )  # fmt: skip
    assert events(store, type="server.token-issued")[-1].data["actor"]["issued_by"] == ["ops", "tester"]
    deep = Actor("deep", ActorKind.SERVICE, tuple(f"t{i}" for i in range(8)))
    with pytest.raises(Invalid, match="would stand behind"), store.change(deep, "test") as change:
        issue_token(change, "deeper", may=["read"])


def test_the_own_name_is_no_issuer(store: Store, actor: Actor) -> None:
    with store.change(actor, "test") as change:
        issue_token(change, "laptop", may=["read"], actor=actor.id)
    assert list_tokens(store)[0].actor == actor


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
