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
from trimtab.store import Change, Store

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
    session = server_sessions.c
    query = (
        select(api_tokens, session.id.label("session"))
        .join(server_sessions, session.token == api_tokens.c.id)
        .where(session.digest == digest_of_bytes(secret.encode()), session.expires_at > now.isoformat())
    )
    with store.read() as connection:
        row = connection.execute(query).mappings().first()
    access = None if row is None else access_of(token_of(row), now=now)
    return None if row is None or access is None else msgspec.structs.replace(access, session_id=row["session"])
