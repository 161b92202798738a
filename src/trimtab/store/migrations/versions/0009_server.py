"""API tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0009_server"
down_revision = "0008_serving"


def upgrade() -> None:
    op.create_table(
        "server_tokens",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("actor_kind", sa.String(20), nullable=False),
        sa.Column("permission", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32)),
        sa.Column("revoked_at", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_server_tokens"),
        sa.UniqueConstraint("digest", name="uq_server_tokens_digest"),
    )
