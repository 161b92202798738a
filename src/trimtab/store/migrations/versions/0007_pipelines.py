"""The orchestrator: runs and steps; leases, attempts and runners."""

import sqlalchemy as sa
from alembic import op

revision = "0007_pipelines"
down_revision = "0006_registry"


def upgrade() -> None:
    op.create_table(
        "pipeline_runs",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("pipeline", sa.String(80), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("key", sa.String(200)),
        sa.Column("submitted_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_runs"),
        sa.UniqueConstraint("key", name="uq_pipeline_runs_key"),
    )
    op.create_index("ix_pipeline_runs_status", "pipeline_runs", ["status"])
    op.create_index("ix_pipeline_runs_pipeline_id", "pipeline_runs", ["pipeline", "id"])
    op.create_table(
        "pipeline_steps",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("cache_key", sa.String(71)),
        sa.Column("outputs", sa.Text),
        sa.Column("blobs", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("cached_from", sa.String(26)),
        sa.Column("budget_from", sa.Integer, nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_pipeline_steps"),
        sa.ForeignKeyConstraint(["run_id"], ["pipeline_runs.id"], name="fk_pipeline_steps_run_id"),
    )
    op.create_index("ix_pipeline_steps_cache_key", "pipeline_steps", ["cache_key"])
    op.create_table(
        "pipeline_leases",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("step", sa.String(80), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("runner", sa.String(26)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.String(32)),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_pipeline_leases"),
    )
    op.create_index("ix_pipeline_leases_runner", "pipeline_leases", ["runner"])
    op.create_table(
        "pipeline_attempts",
        sa.Column("run_id", sa.String(26), nullable=False),
        sa.Column("step", sa.String(80), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("runner", sa.String(26), nullable=False),
        sa.Column("worker_pid", sa.Integer, nullable=False),
        sa.Column("worker_started", sa.String(40), nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("seconds", sa.Float),
        sa.Column("outcome", sa.String(16)),
        sa.Column("error", sa.Text),
        sa.Column("done", sa.Float),
        sa.Column("total", sa.Float),
        sa.Column("unit", sa.String(40)),
        sa.PrimaryKeyConstraint("run_id", "step", "attempt", name="pk_pipeline_attempts"),
    )
    op.create_table(
        "pipeline_runners",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("machine", sa.String(200), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("process_started", sa.String(40), nullable=False),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_runners"),
    )
