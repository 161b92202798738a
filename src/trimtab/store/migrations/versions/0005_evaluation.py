"""The evaluation room: saved reports."""

import sqlalchemy as sa
from alembic import op

revision = "0005_evaluation"
down_revision = "0004_tracking"


def upgrade() -> None:
    op.create_table(
        "evaluation_reports",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("model_digest", sa.String(71), nullable=False),
        sa.Column("dataset_digest", sa.String(71), nullable=False),
        sa.Column("code_digest", sa.String(71), nullable=False),
        sa.Column("rows_digest", sa.String(71), nullable=False),
        sa.Column("task", sa.String(20), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("passed", sa.Boolean),
        sa.Column("verdict_digest", sa.String(71)),
        sa.Column("policy_digest", sa.String(71)),
        sa.Column("headline", sa.Text, nullable=False),
        sa.Column("measured_at", sa.String(32), nullable=False),
        sa.Column("saved_at", sa.String(32), nullable=False),
        sa.Column("saved_by", sa.String(200), nullable=False),
        sa.Column("event_id", sa.String(26), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluation_reports"),
        sa.UniqueConstraint("digest", name="uq_evaluation_reports_digest"),
    )
    op.create_index("ix_evaluation_reports_model_digest_id", "evaluation_reports", ["model_digest", "id"])
