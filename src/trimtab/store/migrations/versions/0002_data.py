"""The data room: snapshots, and the state in which each source was found last."""

import sqlalchemy as sa
from alembic import op

revision = "0002_data"
down_revision = "0001_ledger"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "data_snapshots",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("contract", sa.String(200), nullable=False),
        sa.Column("contract_digest", sa.String(71), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("set_aside_digest", sa.String(71)),
        sa.Column("rows", Position, nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_snapshots"),
    )
    op.create_index("ix_data_snapshots_source_taken_at_id", "data_snapshots", ["source", "taken_at", "id"])
    op.create_index("ix_data_snapshots_taken_at_id", "data_snapshots", ["taken_at", "id"])
    op.create_table(
        "data_sources",
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("snapshot_id", sa.String(26), nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_data_sources"),
        sa.ForeignKeyConstraint(["snapshot_id"], ["data_snapshots.id"], name="fk_data_sources_snapshot_id"),
    )
