"""The loop: what was declared and is in force."""

import sqlalchemy as sa
from alembic import op

revision = "0010_loop"
down_revision = "0009_server"


def upgrade() -> None:
    op.create_table(
        "loop_declarations",
        sa.Column("project", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("applied_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("project", "kind", "name", name="pk_loop_declarations"),
    )
