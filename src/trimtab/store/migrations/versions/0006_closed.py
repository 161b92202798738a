"""A mark by which a database says that it is not complete, or that it was moved away."""

import sqlalchemy as sa
from alembic import op

revision = "0006_closed"
down_revision = "0005_serving_homes"


def upgrade() -> None:
    op.create_table(
        "store_closed",
        sa.Column("one", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("other", sa.Text, nullable=False),
        sa.Column("origin", sa.String(80), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_store_closed")),
    )
