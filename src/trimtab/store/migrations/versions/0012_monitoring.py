"""The monitoring room: scores and outcomes, hourly sums and cells, references, alerts; and what gateways count."""

import sqlalchemy as sa
from alembic import op

revision = "0012_monitoring"
down_revision = "0011_turns"


def upgrade() -> None:
    _figures()
    _decisions()
    _windows()
    _alerts()


def _figures() -> None:
    op.create_index("ix_serving_segments_endpoint_sealed_at", "serving_segments", ["endpoint", "sealed_at"])
    op.create_table(
        "serving_figures",
        sa.Column("endpoint", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stage", sa.String(8), primary_key=True),
        sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("writer", sa.String(26), primary_key=True),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("errors", sa.Integer, nullable=False),
        sa.Column("dropped", sa.Integer, nullable=False),
        sa.Column("latency", sa.LargeBinary, nullable=False),
    )


def _decisions() -> None:
    op.create_table(
        "monitoring_watches",
        sa.Column("endpoint", sa.String(100), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("until", sa.String(32), nullable=False),
        sa.Column("marks", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "monitoring_scores",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(8), nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("as_of_us", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.String(26), nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("score", sa.Double),
    )
    op.create_index("ix_monitoring_scores_subject", "monitoring_scores", ["subject"])
    op.create_index("ix_monitoring_scores_endpoint_key", "monitoring_scores", ["endpoint", "key"])
    op.create_index("ix_monitoring_scores_endpoint_hour", "monitoring_scores", ["endpoint", "hour"])
    op.create_table(
        "monitoring_outcomes",
        sa.Column("subject", sa.String(26), primary_key=True),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("known_us", sa.BigInteger, nullable=False),
        sa.Column("corrections", sa.Integer, nullable=False),
    )
    op.create_index("ix_monitoring_outcomes_endpoint_known_us", "monitoring_outcomes", ["endpoint", "known_us"])


def _windows() -> None:
    op.create_table(
        "monitoring_hours",
        sa.Column("endpoint", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stage", sa.String(8), primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("labelled", sa.Integer, nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
    )
    op.create_index("ix_monitoring_hours_endpoint_hour", "monitoring_hours", ["endpoint", "hour"])
    op.create_table(
        "monitoring_cells",
        sa.Column("endpoint", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hours", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reference", sa.String(71), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "monitoring_references",
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("kept_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "monitoring_skews",
        sa.Column("endpoint", sa.String(100), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("differing", sa.Integer, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
    )


def _alerts() -> None:
    op.create_table(
        "monitoring_alerts",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("open_of", sa.String(300), unique=True),
        sa.Column("alert", sa.Text, nullable=False),
    )
    op.create_index("ix_monitoring_alerts_endpoint_id", "monitoring_alerts", ["endpoint", "id"])
    op.create_table(
        "monitoring_silences",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("until", sa.String(32), nullable=False),
        sa.Column("silence", sa.Text, nullable=False),
    )
    op.create_index("ix_monitoring_silences_endpoint", "monitoring_silences", ["endpoint"])
    op.create_table(
        "monitoring_deliveries",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("alert", sa.String(26), nullable=False),
        sa.Column("target", sa.String(20), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_us", sa.BigInteger),
        sa.Column("delivered_us", sa.BigInteger),
        sa.Column("failure", sa.Text, nullable=False),
    )
    op.create_index("ix_monitoring_deliveries_alert", "monitoring_deliveries", ["alert"])
    op.create_index("ix_monitoring_deliveries_due_us", "monitoring_deliveries", ["due_us"])
