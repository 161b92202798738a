"""Know which homes may hold decisions that are not sealed yet, so that any machine can have them sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0005_serving_homes"
down_revision = "0004_access"


def upgrade() -> None:
    op.create_table(
        "serving_homes",
        sa.Column("home", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("clear_at", sa.String(32), nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("answered", sa.BigInteger, nullable=False),
    )
