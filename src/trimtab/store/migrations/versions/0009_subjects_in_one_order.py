"""Keep what events are about in one order instead of two: every order is another page that each change writes."""

import sqlalchemy as sa
from alembic import op

revision = "0009_subjects_in_one_order"
down_revision = "0008_retention"


def upgrade() -> None:
    op.drop_index("ix_ledger_subjects_kind_id_position", "ledger_subjects")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("pk_ledger_subjects", "ledger_subjects")
        op.create_primary_key("pk_ledger_subjects", "ledger_subjects", ["kind", "id", "position"])
        return
    op.execute("PRAGMA legacy_alter_table=ON")  # views of others go on reading the table of this name
    op.rename_table("ledger_subjects", "ledger_subjects_before")
    op.create_table(
        "ledger_subjects",
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "position", name="pk_ledger_subjects"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO ledger_subjects (position, kind, id) "
        "SELECT position, kind, id FROM ledger_subjects_before ORDER BY kind, id, position"
    )
    op.drop_table("ledger_subjects_before")
    op.execute("PRAGMA legacy_alter_table=OFF")
