"""Authenticate events: each carries a code that only the ledger's key can make, and is linked to what ruled before."""

import sqlalchemy as sa
from alembic import op

revision = "0003_authenticated_events"
down_revision = "0002_partial_moments"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("ledger_events", sa.Column("rules", sa.Boolean))
    op.add_column("ledger_events", sa.Column("ruled_before", Position))
    op.add_column("ledger_events", sa.Column("code", sa.LargeBinary(32)))
    op.create_index(
        "ix_ledger_events_rules",
        "ledger_events",
        ["position"],
        sqlite_where=sa.text("rules"),
        postgresql_where=sa.text("rules"),
    )
    op.add_column("ledger_outbox", sa.Column("code", sa.LargeBinary(32)))
    op.create_table(
        "ledger_refused",
        sa.Column("seq", Position, autoincrement=False, nullable=False),
        sa.Column("bodies", sa.Text, nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ledger_refused"),
    )
