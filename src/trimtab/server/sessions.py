"""Sessions: a browser signs in with a token, and from then on shows a secret of its own that ends with the day."""

import secrets
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, insert, select

from trimtab.kernel import digest_of_bytes
from trimtab.server.events import SessionEnded, SessionStarted
from trimtab.server.records import Access, Session, StartedSession
from trimtab.server.tables import api_tokens, server_sessions
from trimtab.server.tokens import SECRET_AT_MOST, access_of, token_of
from trimtab.store import Change, Store, check_rows

LASTS = timedelta(hours=12)
"""How long a session lasts, used or not; it ends earlier with its token."""
PREFIX = "session_"
"""What the secret of a session begins with; a token's begins otherwise."""


def start_session(change: Change, access: Access) -> StartedSession:
    """Begin a session for whoever a token stands for; sessions that have expired are forgotten."""
    secret = PREFIX + secrets.token_urlsafe(32)
    session = Session(
        id=change.new_id(), token_id=access.token_id, actor=access.actor, started_at=change.at,
        expires_at=change.at + LASTS,
    )  # fmt: skip
    table = server_sessions
    change.execute(delete(table).where(table.c.expires_at <= change.at.isoformat()))
    change.execute(
        insert(table).values(
            id=session.id, token=session.token_id, digest=digest_of_bytes(secret.encode()),
            started_at=session.started_at.isoformat(), expires_at=session.expires_at.isoformat(),
        )
    )  # fmt: skip
    change.record(SessionStarted(session=session.id, token=session.token_id, expires_at=session.expires_at.isoformat()))
    return StartedSession(session=session, secret=secret)


def end_session(change: Change, access: Access) -> None:
    """Sign a browser out: its cookie stands for nobody any more. One that was ended before stays so."""
    one = server_sessions.c.id == access.session_id
    if change.connection.execute(select(server_sessions.c.id).where(one)).first() is not None:
        change.execute(delete(server_sessions).where(one))
        change.record(SessionEnded(session=access.session_id, token=access.token_id))


def recognise_session(store: Store, secret: str, *, now: datetime) -> Access | None:
    """Return whom the secret of a session stands for, or None when it is unknown or over, or its token is."""
    if not secret.startswith(PREFIX) or len(secret) > SECRET_AT_MOST:
        return None
    session, token = server_sessions.c, api_tokens.c
    with store.read() as connection:
        digest = digest_of_bytes(secret.encode())
        row = connection.execute(select(server_sessions).where(session.digest == digest)).mappings().first()
        # Compared again, as whoever writes the database may also say what is equal there.
        if row is None or row["digest"] != digest or row["expires_at"] <= now.isoformat():
            return None
        check_rows(connection, server_sessions, [row])
        tokens = connection.execute(select(api_tokens).where(token.id == row["token"])).mappings().all()
        check_rows(connection, api_tokens, tokens, all_of=(row["token"],))
    if [found["id"] for found in tokens] != [row["token"]]:
        return None
    access = access_of(token_of(tokens[0]), now=now)
    return None if access is None else msgspec.structs.replace(access, session_id=row["id"])
