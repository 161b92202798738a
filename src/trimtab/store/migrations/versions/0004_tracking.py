"""Tracking: experiments, runs, what they log, and the manifest of their files."""

import sqlalchemy as sa
from alembic import op

revision = "0004_tracking"
down_revision = "0003_features"

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _runs()
    _texts("tracking_params")
    _texts("tracking_tags")
    _metrics()
    _files()
    _writers()


def _runs() -> None:
    op.create_table(
        "tracking_experiments",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tracking_experiments"),
        sa.UniqueConstraint("name", name="uq_tracking_experiments_name"),
    )
    op.create_table(
        "tracking_runs",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("experiment_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("parent_id", sa.String(26)),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("host", sa.String(255)),
        sa.Column("process", sa.String(80)),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("seal", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_tracking_runs"),
        sa.ForeignKeyConstraint(["experiment_id"], ["tracking_experiments.id"], name="fk_tracking_runs_experiment_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["tracking_runs.id"], name="fk_tracking_runs_parent_id"),
    )
    op.create_index(
        "ix_tracking_runs_experiment_id_started_at_id", "tracking_runs", ["experiment_id", "started_at", "id"]
    )
    op.create_index("ix_tracking_runs_started_at_id", "tracking_runs", ["started_at", "id"])
    op.create_index("ix_tracking_runs_status", "tracking_runs", ["status"])
    op.create_index("ix_tracking_runs_parent_id", "tracking_runs", ["parent_id"])


def _texts(name: str) -> None:
    op.create_table(
        name,
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("number", sa.Float),
        sa.PrimaryKeyConstraint("run_id", "key", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name=f"fk_{name}_run_id"),
    )
    op.create_index(f"ix_{name}_key_number_run_id", name, ["key", "number", "run_id"])


def _metrics() -> None:
    op.create_table(
        "tracking_metrics",
        sa.Column("id", Position, sa.Identity(), nullable=False),
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("points", Position, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("min", sa.Float),
        sa.Column("max", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_tracking_metrics"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name="fk_tracking_metrics_run_id"),
        sa.UniqueConstraint("run_id", "key", name="uq_tracking_metrics_run_id_key"),
    )
    op.create_index("ix_tracking_metrics_key_value_run_id", "tracking_metrics", ["key", "value", "run_id"])
    op.create_table(
        "tracking_points",
        sa.Column("metric_id", Position, autoincrement=False, nullable=False),
        sa.Column("number", Position, autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float),
        sa.PrimaryKeyConstraint("metric_id", "number", name="pk_tracking_points"),
        sqlite_with_rowid=False,
    )


def _files() -> None:
    op.create_table(
        "tracking_artifacts",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("logged_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tracking_artifacts"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name="fk_tracking_artifacts_run_id"),
        sa.UniqueConstraint("run_id", "name", name="uq_tracking_artifacts_run_id_name"),
    )
    op.create_table(
        "tracking_datasets",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("rows", Position),
        sa.PrimaryKeyConstraint("run_id", "digest", "role", name="pk_tracking_datasets"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name="fk_tracking_datasets_run_id"),
    )
    op.create_index("ix_tracking_datasets_digest", "tracking_datasets", ["digest"])
    op.create_table(
        "tracking_models",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_tracking_models"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name="fk_tracking_models_run_id"),
    )
    op.create_index("ix_tracking_models_digest", "tracking_models", ["digest"])


def _writers() -> None:
    op.create_table(
        "tracking_writers",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("writer", sa.String(40), nullable=False),
        sa.Column("batch", Position, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "writer", name="pk_tracking_writers"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name="fk_tracking_writers_run_id"),
    )
    op.create_table(
        "tracking_console",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("writer", sa.String(40), nullable=False),
        sa.Column("number", Position, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "writer", "number", name="pk_tracking_console"),
        sa.ForeignKeyConstraint(["run_id"], ["tracking_runs.id"], name="fk_tracking_console_run_id"),
    )
