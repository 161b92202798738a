"""Keep policies that were proposed for governed models until somebody else approves them."""

import sqlalchemy as sa
from alembic import op

revision = "0007_policy_proposals"
down_revision = "0006_closed"


def upgrade() -> None:
    op.create_table(
        "loop_proposals",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("open_of", sa.String(200), unique=True),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("proposal", sa.Text, nullable=False),
    )
    op.create_index("ix_loop_proposals_model_id", "loop_proposals", ["model", "id"])
