"""How tokens, sessions and the counts of refused attempts lie in SQL."""

from sqlalchemy import Column, Integer, String, Table, Text

from trimtab.store import JOURNAL, metadata

api_tokens = Table(
    "server_tokens",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("actor_kind", String(20), nullable=False),
    Column("issued_by", Text, nullable=False, server_default="[]"),
    Column("may", Text, nullable=False, server_default="[]"),
    Column("digest", String(71), nullable=False, unique=True),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32)),
    Column("revoked_at", String(32)),
)
"""One row for each token ever issued. ``digest`` is the SHA-256 of the secret: 256 random bits need no salt.

``may`` and ``issued_by`` are lists as JSON: the permissions, and who stands behind the token, the nearest first."""

server_sessions = Table(
    "server_sessions",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("token", String(26), nullable=False, index=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("started_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
)
"""One row for each browser that is signed in; ``digest`` is the SHA-256 of what its cookie holds. Signing out removes
the row, and so does signing in of anybody once it has expired."""

server_refusals = Table(
    "server_refusals",
    metadata,
    Column("hour", String(32), primary_key=True),
    Column("code", String(80), primary_key=True),
    Column("actor", String(200), primary_key=True),
    Column("asked", String(200), primary_key=True),
    Column("about", String(200), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", String(32), nullable=False),
    info=JOURNAL,
)
"""How often somebody was refused one thing within an hour. A bounded number of rows an hour, and of hours."""
