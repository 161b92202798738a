"""The ledger: events, what they are about, the tree, its checkpoints, and the outbox of PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0001_ledger"
down_revision = None

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "ledger_events",
        sa.Column("position", Position, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("leaf", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_ledger_events"),
        sa.UniqueConstraint("id", name="uq_ledger_events_id"),
    )
    op.create_index(
        "uq_ledger_events_idempotency_key",
        "ledger_events",
        ["idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("ix_ledger_events_type", "ledger_events", ["type"])
    op.create_table(
        "ledger_subjects",
        sa.Column("position", Position, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("position", "kind", "id", name="pk_ledger_subjects"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_subjects_kind_id_position", "ledger_subjects", ["kind", "id", "position"])
    op.create_table(
        "ledger_head",
        sa.Column("one", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("origin", sa.String(80), nullable=False),
        sa.Column("size", Position, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_ledger_head"),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", Position, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_ledger_tiles"),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("tile", Position, autoincrement=False, nullable=False),
        sa.Column("size", Position, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("tile", name="pk_ledger_checkpoints"),
    )
    op.create_table(
        "ledger_outbox",
        sa.Column("seq", Position, sa.Identity(), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("bodies", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ledger_outbox"),
        sa.UniqueConstraint("idempotency_key", name="uq_ledger_outbox_idempotency_key"),
    )
