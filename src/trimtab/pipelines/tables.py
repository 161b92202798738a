"""How runs and steps lie in SQL. Runs and steps are state; leases, attempts and runners are operations (journal)."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from trimtab.store import JOURNAL, MENTIONS, metadata

pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("pipeline", String(80), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("spec", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("issued_by", Text, nullable=False, server_default="[]"),
    Column("because", Text, nullable=False),
    Column("key", String(200), unique=True),
    Column("submitted_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Index("ix_pipeline_runs_pipeline_id", "pipeline", "id"),
)
"""``status`` is ``open`` until the run is final; ``spec``, ``params`` and ``issued_by`` (who stands behind the actor's
token) are JSON and never change."""

pipeline_steps = Table(
    "pipeline_steps",
    metadata,
    Column("run_id", String(26), ForeignKey("pipeline_runs.id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("cache_key", String(71), index=True),
    Column("outputs", Text, info=MENTIONS),
    Column("blobs", Text),
    Column("error", Text),
    Column("cached_from", String(26)),
    Column("budget_from", Integer, nullable=False),
    Column("finished_at", String(32)),
)
"""``cache_key`` is set on steps that may be taken over. Attempts up to ``budget_from`` no longer count. ``blobs`` are
the bytes that the step has kept; a finished step without ``outputs`` had its own removed."""

pipeline_leases = Table(
    "pipeline_leases",
    metadata,
    Column("run_id", String(26), primary_key=True),
    Column("step", String(80), primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("runner", String(26), index=True),
    Column("attempts", Integer, nullable=False),
    Column("not_before", String(32)),
    info=JOURNAL,
)
"""Who may run a step. ``fence`` only grows: who holds an older one has lost the step, whatever it still believes."""

pipeline_attempts = Table(
    "pipeline_attempts",
    metadata,
    Column("run_id", String(26), primary_key=True),
    Column("step", String(80), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("runner", String(26), nullable=False),
    Column("worker_pid", Integer, nullable=False),
    Column("worker_started", String(40), nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("seconds", Float),
    Column("outcome", String(16)),
    Column("error", Text),
    Column("done", Float),
    Column("total", Float),
    Column("unit", String(40)),
    info=JOURNAL,
)
"""One row for each start, written before the body runs."""

pipeline_runners = Table(
    "pipeline_runners",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("machine", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", String(40), nullable=False),
    Column("beat", Integer, nullable=False),
    info=JOURNAL,
)
"""Who holds leases: a process of a machine. ``beat`` counts on while it lives; others watch it by their own clock."""
