"""Whoever can write the database signs nobody in: tokens and sessions count as far as the ledger knows them."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import insert
from tests.forging import by_sql

from trimtab.kernel import Actor, VirtualClock, digest_of_bytes
from trimtab.server import issue_token, revoke_token
from trimtab.server.doors import COOKIE
from trimtab.server.sessions import PREFIX as SESSION
from trimtab.server.sessions import start_session
from trimtab.server.tables import api_tokens, server_sessions
from trimtab.server.tokens import PREFIX, active_token, recognise
from trimtab.store import RowForged, Store, VerificationKind, verify

READ = "/api/v1/notes/a"
MINE = f"{PREFIX}{'m' * 43}"
"""A secret that whoever attacks has made himself."""


@pytest.fixture
def ask(store: Store, notes_of: Callable[[Store], httpx.Client]) -> Callable[..., httpx.Response]:
    """Ask as somebody far, with a token or the cookie of a session."""
    client = notes_of(store)

    def asked(secret: str, *, cookie: bool = False) -> httpx.Response:
        headers = {"Cookie": f"{COOKIE}={secret}"} if cookie else {"Authorization": f"Bearer {secret}"}
        return client.get(READ, headers=headers)

    return asked


def assert_refused(answer: httpx.Response, store: Store, table: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (403, "store.row-forged")
    found = verify(store)
    assert found.kind is VerificationKind.TAMPERED
    assert table in found.what


def issued(store: Store, actor: Actor, *may: str, expires_in_s: float | None = None) -> str:
    with store.change(actor, "test") as change:
        return issue_token(change, "carol", may=may, expires_in_s=expires_in_s).secret


def test_a_token_that_nobody_issued_is_none(store: Store, ask: Callable[..., httpx.Response]) -> None:
    with store.database.write() as connection:
        connection.execute(
            insert(api_tokens).values(
                id="0" * 26, name="root", actor="root", actor_kind="person", may='["admin","read"]',
                digest=digest_of_bytes(MINE.encode()), created_at=store.clock.now().isoformat(),
            )
        )  # fmt: skip
    assert_refused(ask(MINE), store, "of server_tokens is not known to the ledger")


@pytest.mark.parametrize(
    "attack",
    [
        """UPDATE server_tokens SET may = '["admin","read"]'""",
        "UPDATE server_tokens SET actor = 'ann'",
        "UPDATE server_tokens SET actor_kind = 'person'",
        """UPDATE server_tokens SET issued_by = '[]'""",
        f"UPDATE server_tokens SET digest = '{digest_of_bytes(MINE.encode())}'",
    ],
)
def test_a_token_is_what_it_was_issued_as(
    store: Store, actor: Actor, ask: Callable[..., httpx.Response], attack: str
) -> None:
    secret = issued(store, actor, "read")
    by_sql(store, attack)
    assert_refused(ask(MINE if "digest" in attack else secret), store, "of server_tokens is not what the ledger says")


def test_a_token_that_is_over_is_not_brought_back(
    store: Store, actor: Actor, clock: VirtualClock, ask: Callable[..., httpx.Response]
) -> None:
    short = issued(store, actor, "read", expires_in_s=60)
    clock.sleep(61)
    assert ask(short).status_code == 401
    by_sql(store, "UPDATE server_tokens SET expires_at = NULL")
    assert_refused(ask(short), store, "of server_tokens is not what the ledger says")


def test_a_token_that_was_revoked_is_not_brought_back(
    store: Store, actor: Actor, ask: Callable[..., httpx.Response]
) -> None:
    secret = issued(store, actor, "read")
    with store.change(actor, "left the team") as change:
        revoke_token(change, "carol")
    assert ask(secret).status_code == 401
    by_sql(store, "UPDATE server_tokens SET revoked_at = NULL")
    assert_refused(ask(secret), store, "of server_tokens is not what the ledger says")
    with pytest.raises(RowForged), store.change(actor, "again") as change:
        active_token(change.connection, "carol")


@pytest.mark.parametrize("attack", ["made", "prolonged", "moved", "orphaned"])
def test_a_session_is_what_was_begun(
    store: Store, actor: Actor, clock: VirtualClock, ask: Callable[..., httpx.Response], attack: str
) -> None:
    access = recognise(store, issued(store, actor, "read"), now=clock.now())
    assert access is not None
    with store.change(access.actor, "test") as change:
        begun = start_session(change, access)
    with store.change(actor, "test") as change:
        other = issue_token(change, "root", may=["admin", "read"]).token
    later, secret = (clock.now() + timedelta(days=9)).isoformat(), begun.secret
    match attack:
        case "made":
            secret = f"{SESSION}{'m' * 43}"
            with store.database.write() as connection:
                connection.execute(
                    insert(server_sessions).values(
                        id="0" * 26, token=other.id, digest=digest_of_bytes(secret.encode()),
                        started_at=clock.now().isoformat(), expires_at=later,
                    )
                )  # fmt: skip
            found = "of server_sessions is not known to the ledger"
        case "prolonged":
            by_sql(store, f"UPDATE server_sessions SET expires_at = '{later}'")
            clock.sleep(2 * 86400)
            found = "of server_sessions is not what the ledger says"
        case "moved":
            by_sql(store, f"UPDATE server_sessions SET token = '{other.id}'")
            found = "of server_sessions is not what the ledger says"
        case _:
            by_sql(store, f"DELETE FROM server_tokens WHERE id = '{access.token_id}'")
            found = "of server_tokens was taken out"
    assert_refused(ask(secret, cookie=True), store, found)
