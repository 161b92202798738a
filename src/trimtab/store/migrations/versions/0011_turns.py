"""The loop: its turns, from trigger to verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0011_turns"
down_revision = "0010_loop"


def upgrade() -> None:
    op.create_table(
        "loop_turns",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("open_of", sa.String(200), unique=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("turn", sa.Text, nullable=False),
    )
    op.create_index("ix_loop_turns_model_id", "loop_turns", ["model", "id"])
    op.create_table(
        "loop_marks",
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("model", "name", name="pk_loop_marks"),
    )
