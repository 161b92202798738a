"""Browsers: a session of their own, that ends by itself, by signing out, and with its token."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import msgspec
import pytest

from trimtab.kernel import Actor, VirtualClock
from trimtab.server import Access, issue_token, revoke_token
from trimtab.server.doors import COOKIE, Doors
from trimtab.server.errors import NotSignedIn
from trimtab.server.sessions import LASTS, end_session, recognise_session, start_session
from trimtab.server.tokens import recognise
from trimtab.store import Store, events

READ = "/api/v1/notes/a"


@pytest.fixture
def secret(store: Store, actor: Actor) -> str:
    """The secret of a token that may read."""
    with store.change(actor, "test") as change:
        return issue_token(change, "carol", may=["read"], expires_in_s=7 * 86400).secret


def signed_in(store: Store, secret: str) -> str:
    access = recognise(store, secret, now=store.clock.now())
    assert access is not None
    with store.change(access.actor, "test") as change:
        return start_session(change, access).secret


def who(store: Store, session: str) -> Access | None:
    return recognise_session(store, session, now=store.clock.now())


def test_a_session_is_its_tokens_holder_and_has_a_secret_of_its_own(store: Store, secret: str) -> None:
    session = signed_in(store, secret)
    found, holder = who(store, session), recognise(store, secret, now=store.clock.now())
    assert found is not None
    assert holder is not None
    assert (found.actor, found.grants, found.token_id) == (holder.actor, holder.grants, holder.token_id)
    assert session != secret
    assert who(store, secret) is None
    assert recognise(store, session, now=store.clock.now()) is None
    with store.read() as connection:
        for table in ("server_sessions", "ledger_events"):
            assert session[8:] not in str(connection.exec_driver_sql(f"SELECT * FROM {table}").all())


def test_a_session_ends_after_half_a_day(store: Store, secret: str, clock: VirtualClock) -> None:
    session = signed_in(store, secret)
    clock.sleep(LASTS.total_seconds() - 1)
    assert who(store, session) is not None
    clock.sleep(1)
    assert who(store, session) is None
    signed_in(store, secret)  # which forgets the one that is over
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM server_sessions").scalar() == 1


def test_signing_out_ends_a_session_and_no_other(store: Store, secret: str) -> None:
    first, second = signed_in(store, secret), signed_in(store, secret)
    access = who(store, first)
    assert access is not None
    for _ in range(2):
        with store.change(access.actor, "test") as change:
            end_session(change, access)
    assert who(store, first) is None
    assert who(store, second) is not None
    assert [event.type for event in events(store)][-3:] == [
        "server.session-started", "server.session-started", "server.session-ended",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_session_ends_with_its_token(store: Store, actor: Actor, clock: VirtualClock, secret: str, end: str) -> None:
    clock.sleep(7 * 86400 - 60)
    session = signed_in(store, secret)
    assert who(store, session) is not None
    if end == "revoked":
        with store.change(actor, "left the team") as change:
            revoke_token(change, "carol")
    else:
        clock.sleep(60)
    assert who(store, session) is None


@pytest.fixture
def doors(sqlite_store: Store, actor: Actor) -> Doors:
    return Doors(store=sqlite_store, clock=sqlite_store.clock, hosts=frozenset({"testserver"}), local=None)


def test_a_cookie_is_taken_until_it_is_signed_out(
    sqlite_store: Store, actor: Actor, doors: Doors, notes_behind: Callable[[Doors], httpx.Client]
) -> None:
    client = notes_behind(doors)
    with sqlite_store.change(actor, "test") as change:
        token = issue_token(change, "carol", may=["read"]).secret
    session = doors.sign_in(token, address="127.0.0.1", because="test")
    cookie = {"Cookie": f"{COOKIE}={session}"}
    assert client.get(READ, headers=cookie).json()["by"] == "carol"
    assert client.get(READ, headers={"Authorization": f"Bearer {session}"}).status_code == 401
    doors.sign_out({"cookie": f"{COOKIE}={session}"}, because="test")
    assert client.get(READ, headers=cookie).status_code == 401  # at once in this process, though it was just taken
    with pytest.raises(NotSignedIn):
        doors.sign_in(session, address="127.0.0.1", because="a session begins no other")


def test_a_revoked_tokens_session_is_taken_no_more_within_seconds(
    sqlite_store: Store, actor: Actor, clock: VirtualClock, doors: Doors, notes_behind: Callable[[Doors], httpx.Client]
) -> None:
    client = notes_behind(doors)
    with sqlite_store.change(actor, "test") as change:
        token = issue_token(change, "carol", may=["read"]).secret
    cookie = {"Cookie": f"{COOKIE}={doors.sign_in(token, address='127.0.0.1', because='test')}"}
    assert client.get(READ, headers=cookie).status_code == 200
    with sqlite_store.change(actor, "left the team") as change:
        revoke_token(change, "carol")
    clock.sleep(timedelta(seconds=6).total_seconds())
    assert client.get(READ, headers=cookie).status_code == 401


def test_another_servers_cookie_does_not_shut_a_local_server(
    sqlite_store: Store, actor: Actor, doors: Doors, notes_behind: Callable[[Doors], httpx.Client]
) -> None:
    """Cookies know hosts and no ports: two servers on one machine see each other's."""
    local = msgspec.structs.replace(doors, local=Access(actor=actor))
    answer = notes_behind(local).get(READ, headers={"Cookie": f"{COOKIE}=session_of-another"})
    assert answer.json()["code"] == "server.not-allowed"  # it is the local user, who was given no permission here
