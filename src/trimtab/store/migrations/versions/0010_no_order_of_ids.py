"""Keep events on SQLite in no order of their ids, in which nobody looks there: every order is another page to write."""

import sqlalchemy as sa
from alembic import op

revision = "0010_no_order_of_ids"
down_revision = "0009_subjects_in_one_order"

_COLUMNS = "position, id, at, actor, type, idempotency_key, body, leaf, rules, ruled_before, code"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        return  # there, whoever gives positions looks for ids
    op.execute("PRAGMA legacy_alter_table=ON")  # views of others go on reading the table of this name
    op.rename_table("ledger_events", "ledger_events_before")
    op.create_table(
        "ledger_events",
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("leaf", sa.LargeBinary(32), nullable=False),
        sa.Column("rules", sa.Boolean),
        sa.Column("ruled_before", sa.Integer),
        sa.Column("code", sa.LargeBinary(32)),
        sa.PrimaryKeyConstraint("position", name="pk_ledger_events"),
    )
    op.execute(
        f"INSERT INTO ledger_events ({_COLUMNS}) SELECT {_COLUMNS} FROM ledger_events_before ORDER BY position"  # noqa: S608
    )
    op.drop_table("ledger_events_before")
    op.execute("PRAGMA legacy_alter_table=OFF")
    op.create_index("ix_ledger_events_type", "ledger_events", ["type"])
    has_key = sa.text("idempotency_key IS NOT NULL")
    op.create_index(
        "uq_ledger_events_idempotency_key", "ledger_events", ["idempotency_key"], unique=True, sqlite_where=has_key
    )
    op.create_index("ix_ledger_events_rules", "ledger_events", ["position"], sqlite_where=sa.text("rules"))
