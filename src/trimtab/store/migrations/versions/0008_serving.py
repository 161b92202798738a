"""The serving room: who answers at each endpoint, and the sealed segments of the decision log."""

import sqlalchemy as sa
from alembic import op

revision = "0008_serving"
down_revision = "0007_pipelines"


def upgrade() -> None:
    op.create_table(
        "serving_routes",
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("routing", sa.Text, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", name="pk_serving_routes"),
    )
    op.create_table(
        "serving_segments",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("first_id", sa.String(26), nullable=False),
        sa.Column("last_id", sa.String(26), nullable=False),
        sa.Column("first_at", sa.String(32), nullable=False),
        sa.Column("last_at", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("sealed_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_serving_segments"),
    )
    op.create_index("ix_serving_segments_endpoint_first_id", "serving_segments", ["endpoint", "first_id"])
    op.create_index("ix_serving_segments_first_id", "serving_segments", ["first_id"])
