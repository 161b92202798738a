"""Permissions become sets with names, browsers get sessions of their own, and refused attempts are counted."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004_access"
down_revision = "0003_authenticated_events"

MEANT = {
    "read": ["read"],
    "predict": ["read", "predict"],
    "write": ["read", "predict", "log", "register"],
    "approve": ["read", "predict", "log", "register", "approve"],
    "admin": ["read", "predict", "log", "register", "approve", "admin"],
}
"""What a token could do when each permission included those before it."""


def upgrade() -> None:
    op.add_column("server_tokens", sa.Column("issued_by", sa.Text, nullable=False, server_default="[]"))
    op.add_column("server_tokens", sa.Column("may", sa.Text, nullable=False, server_default="[]"))
    _fill_in(op.get_bind())
    op.drop_column("server_tokens", "permission")
    op.add_column("pipeline_runs", sa.Column("issued_by", sa.Text, nullable=False, server_default="[]"))
    op.create_table(
        "server_sessions",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("token", sa.String(26), nullable=False, index=True),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.UniqueConstraint("digest", name="uq_server_sessions_digest"),
    )
    op.create_table(
        "server_refusals",
        sa.Column("hour", sa.String(32), primary_key=True),
        sa.Column("code", sa.String(80), primary_key=True),
        sa.Column("actor", sa.String(200), primary_key=True),
        sa.Column("asked", sa.String(200), primary_key=True),
        sa.Column("about", sa.String(200), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("last_at", sa.String(32), nullable=False),
    )


def _fill_in(connection: sa.Connection) -> None:
    """Give each token the permissions that it had, and the issuer that the ledger names."""
    query = sa.text("SELECT body FROM ledger_events WHERE type = 'server.token-issued'")
    events = [json.loads(body) for body in connection.execute(query).scalars()]
    issuers = {event["data"]["token"]: event["actor"]["id"] for event in events}
    change = sa.text("UPDATE server_tokens SET may = :may, issued_by = :issued_by WHERE id = :id")
    for id_, actor, permission in connection.execute(sa.text("SELECT id, actor, permission FROM server_tokens")).all():
        issuer = issuers.get(id_, actor)
        issued_by = [] if issuer == actor else [issuer]
        may = MEANT[permission]
        connection.execute(change, {"id": id_, "may": json.dumps(may), "issued_by": json.dumps(issued_by)})
