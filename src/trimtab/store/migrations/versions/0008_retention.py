"""Keep legal holds, and where the decisions lay that were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0008_retention"
down_revision = "0007_policy_proposals"


def upgrade() -> None:
    op.create_table(
        "store_holds",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("made_at", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.String(32)),
        sa.Column("ended_by", sa.String(200)),
        sa.Column("ended_because", sa.Text),
    )
    op.create_table(
        "serving_removed_segments",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("first_id", sa.String(26), nullable=False),
        sa.Column("last_id", sa.String(26), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("removed_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_serving_removed_segments_endpoint", "serving_removed_segments", ["endpoint"])
    op.create_index("ix_serving_removed_segments_first_id", "serving_removed_segments", ["first_id"])
