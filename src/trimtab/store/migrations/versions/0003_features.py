"""The features room: registered views, and when the online store was filled for them."""

import sqlalchemy as sa
from alembic import op

revision = "0003_features"
down_revision = "0002_data"

Count = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "features_views",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("registered_at", sa.String(32), nullable=False),
        sa.Column("registered_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_features_views"),
        sa.UniqueConstraint("name", "version", name="uq_features_views_name_version"),
    )
    op.create_index("ix_features_views_digest", "features_views", ["digest"])
    op.create_table(
        "features_materialisations",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("view", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("how", sa.String(20), nullable=False),
        sa.Column("now", sa.String(32), nullable=False),
        sa.Column("facts", Count, nullable=False),
        sa.Column("rows", Count, nullable=False),
        sa.Column("tables", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_features_materialisations"),
    )
    op.create_index("ix_features_materialisations_digest", "features_materialisations", ["digest"])
