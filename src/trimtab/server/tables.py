"""How API tokens lie in SQL."""

from sqlalchemy import Column, String, Table

from trimtab.store import metadata

api_tokens = Table(
    "server_tokens",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("actor_kind", String(20), nullable=False),
    Column("permission", String(20), nullable=False),
    Column("digest", String(71), nullable=False, unique=True),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32)),
    Column("revoked_at", String(32)),
)
"""One row for each token ever issued. ``digest`` is the SHA-256 of the secret: 256 random bits need no salt."""
