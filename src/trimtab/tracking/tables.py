"""How runs lie in SQL.

Experiments and runs are state, and every change of theirs is an event. What a run logs while it runs is a journal
(batched, not awaited on disk); the event that ends the run seals it with a digest of each part.
"""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Identity, Index, String, Table, Text, UniqueConstraint

from trimtab.store import JOURNAL, MENTIONS, Position, metadata

tracking_experiments = Table(
    "tracking_experiments",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("created_at", String(32), nullable=False),
    Column("created_by", String(200), nullable=False),
)

tracking_runs = Table(
    "tracking_runs",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("experiment_id", String(26), ForeignKey("tracking_experiments.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("parent_id", String(26), ForeignKey("tracking_runs.id")),
    Column("actor", String(200), nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("host", String(255)),
    Column("process", String(80)),
    Column("error", Text, nullable=False),
    Column("seal", Text),
    Index("ix_tracking_runs_experiment_id_started_at_id", "experiment_id", "started_at", "id"),
    Index("ix_tracking_runs_started_at_id", "started_at", "id"),
    Index("ix_tracking_runs_status", "status"),
    Index("ix_tracking_runs_parent_id", "parent_id"),
)
"""One row for each run. ``process`` is the pid and start of the process that makes it; ``seal`` is JSON."""

tracking_params = Table(
    "tracking_params",
    metadata,
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    Column("number", Float),
    Index("ix_tracking_params_key_number_run_id", "key", "number", "run_id"),
    info=JOURNAL,
)
"""``number`` is the value again when it reads as a finite number, so that search can compare it."""

tracking_tags = Table(
    "tracking_tags",
    metadata,
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
    Column("number", Float),
    Index("ix_tracking_tags_key_number_run_id", "key", "number", "run_id"),
    info=JOURNAL,
)

tracking_metrics = Table(
    "tracking_metrics",
    metadata,
    Column("id", Position, Identity(), primary_key=True),
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), nullable=False),
    Column("key", String(250), nullable=False),
    Column("points", Position, nullable=False),
    Column("value", Float),
    Column("step", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("min", Float),
    Column("max", Float),
    UniqueConstraint("run_id", "key"),
    Index("ix_tracking_metrics_key_value_run_id", "key", "value", "run_id"),
    info=JOURNAL,
)
"""One row for each metric of a run: its last value (by step, then time) and its extremes. NaN is null."""

tracking_points = Table(
    "tracking_points",
    metadata,
    Column("metric_id", Position, primary_key=True, autoincrement=False),
    Column("number", Position, primary_key=True, autoincrement=False),
    Column("step", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("value", Float),
    info=JOURNAL,
    sqlite_with_rowid=False,
)
"""Every point, numbered from 1 as it came. ``at_us`` is microseconds since 1970 (as text it would double the table)."""

tracking_writers = Table(
    "tracking_writers",
    metadata,
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), primary_key=True),
    Column("writer", String(40), primary_key=True),
    Column("batch", Position, nullable=False),
    Column("at", String(32), nullable=False),
    info=JOURNAL,
)
"""The last batch of each process that writes to a run: a batch counts once, and its time is the sign of life."""

tracking_artifacts = Table(
    "tracking_artifacts",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), nullable=False),
    Column("name", String(500), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("media_type", String(100), nullable=False),
    Column("logged_at", String(32), nullable=False),
    UniqueConstraint("run_id", "name"),
    info=JOURNAL,
)
"""The manifest of a run's files; their bytes are blobs."""

tracking_datasets = Table(
    "tracking_datasets",
    metadata,
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), primary_key=True),
    Column("digest", String(71), primary_key=True, info=MENTIONS),
    Column("role", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("rows", Position),
    Index("ix_tracking_datasets_digest", "digest"),
    info=JOURNAL,
)
"""Which data a run used, and for what."""

tracking_models = Table(
    "tracking_models",
    metadata,
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_tracking_models_digest", "digest"),
    info=JOURNAL,
)
"""The models of a run; ``record`` is the whole ``LoggedModel`` as JSON."""

tracking_console = Table(
    "tracking_console",
    metadata,
    Column("run_id", String(26), ForeignKey("tracking_runs.id"), primary_key=True),
    Column("writer", String(40), primary_key=True),
    Column("number", Position, primary_key=True),
    Column("text", Text, nullable=False),
    info=JOURNAL,
)
"""What a running run has printed; becomes its artifact ``console.txt`` when it ends."""
