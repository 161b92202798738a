"""The first schema: the tables of every room, from the ledger up."""

import sqlalchemy as sa
from alembic import op

revision = "0001_first_schema"
down_revision = None

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _ledger()
    _data()
    _features()
    _runs()
    _metrics()
    _files()
    _writers()
    _evaluation()
    _registry()
    _pipelines()
    _serving()
    _server()
    _loop()
    _outcomes()
    _windows()
    _alerts()


def _ledger() -> None:
    op.create_table(
        "ledger_events",
        sa.Column("position", Position, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("type", sa.String(80), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("leaf", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_ledger_events"),
        sa.UniqueConstraint("id", name="uq_ledger_events_id"),
    )
    op.create_index(
        "uq_ledger_events_idempotency_key",
        "ledger_events",
        ["idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("ix_ledger_events_type", "ledger_events", ["type"])
    op.create_table(
        "ledger_subjects",
        sa.Column("position", Position, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("position", "kind", "id", name="pk_ledger_subjects"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_subjects_kind_id_position", "ledger_subjects", ["kind", "id", "position"])
    op.create_table(
        "ledger_head",
        sa.Column("one", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("origin", sa.String(80), nullable=False),
        sa.Column("size", Position, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_ledger_head"),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", Position, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_ledger_tiles"),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("tile", Position, autoincrement=False, nullable=False),
        sa.Column("size", Position, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("tile", name="pk_ledger_checkpoints"),
    )
    op.create_table(
        "ledger_outbox",
        sa.Column("seq", Position, sa.Identity(), nullable=False),
        sa.Column("idempotency_key", sa.String(200)),
        sa.Column("bodies", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_ledger_outbox"),
        sa.UniqueConstraint("idempotency_key", name="uq_ledger_outbox_idempotency_key"),
    )


def _data() -> None:
    op.create_table(
        "data_snapshots",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("contract", sa.String(200), nullable=False),
        sa.Column("contract_digest", sa.String(71), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("set_aside_digest", sa.String(71)),
        sa.Column("rows", Position, nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_snapshots"),
    )
    op.create_index("ix_data_snapshots_source_taken_at_id", "data_snapshots", ["source", "taken_at", "id"])
    op.create_index("ix_data_snapshots_taken_at_id", "data_snapshots", ["taken_at", "id"])
    op.create_table(
        "data_sources",
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("snapshot_id", sa.String(26), nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_data_sources"),
        sa.ForeignKeyConstraint(["snapshot_id"], ["data_snapshots.id"], name="fk_data_sources_snapshot_id"),
    )


def _features() -> None:
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
        sa.Column("facts", Position, nullable=False),
        sa.Column("rows", Position, nullable=False),
        sa.Column("tables", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_features_materialisations"),
    )
    op.create_index("ix_features_materialisations_digest", "features_materialisations", ["digest"])


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

    _texts("tracking_params")
    _texts("tracking_tags")


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


def _evaluation() -> None:
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


def _registry() -> None:
    op.create_table(
        "registry_models",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_registry_models"),
    )
    op.create_table(
        "registry_versions",
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("covered", sa.String(71), nullable=False),
        sa.Column("artifact", sa.String(71), nullable=False),
        sa.Column("person", sa.String(200)),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name="pk_registry_versions"),
        sa.ForeignKeyConstraint(["model"], ["registry_models.name"], name="fk_registry_versions_model"),
        sa.UniqueConstraint("model", "covered", name="uq_registry_versions_model_covered"),
    )
    op.create_index("ix_registry_versions_artifact", "registry_versions", ["artifact"])
    op.create_table(
        "registry_approvals",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("self_approved", sa.Boolean, nullable=False),
        sa.Column("bound_to", sa.String(71), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_approvals"),
        _of_version("registry_approvals"),
    )
    op.create_index("ix_registry_approvals_model_version_id", "registry_approvals", ["model", "version", "id"])
    op.create_table(
        "registry_aliases",
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("alias", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("moved_at", sa.String(32), nullable=False),
        sa.Column("moved_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("model", "alias", name="pk_registry_aliases"),
        _of_version("registry_aliases"),
    )
    op.create_table(
        "registry_releases",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("approval_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("release", sa.Text, nullable=False),
        sa.Column("issued_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32)),
        sa.Column("revoked_by", sa.String(200)),
        sa.Column("revoked_because", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_registry_releases"),
        sa.UniqueConstraint("digest", name="uq_registry_releases_digest"),
        sa.ForeignKeyConstraint(["approval_id"], ["registry_approvals.id"], name="fk_registry_releases_approval_id"),
        _of_version("registry_releases"),
    )
    op.create_index("ix_registry_releases_model_version_id", "registry_releases", ["model", "version", "id"])


def _of_version(table: str) -> sa.ForeignKeyConstraint:
    versions = ["registry_versions.model", "registry_versions.number"]
    return sa.ForeignKeyConstraint(["model", "version"], versions, name=f"fk_{table}_model_version")


def _pipelines() -> None:
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


def _serving() -> None:
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


def _server() -> None:
    op.create_table(
        "server_tokens",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("actor_kind", sa.String(20), nullable=False),
        sa.Column("permission", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32)),
        sa.Column("revoked_at", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_server_tokens"),
        sa.UniqueConstraint("digest", name="uq_server_tokens_digest"),
    )


def _loop() -> None:
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


def _outcomes() -> None:
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
