"""How saved evaluations lie in SQL."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from trimtab.store import metadata

evaluation_reports = Table(
    "evaluation_reports",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("model_digest", String(71), nullable=False),
    Column("dataset_digest", String(71), nullable=False),
    Column("code_digest", String(71), nullable=False),
    Column("rows_digest", String(71), nullable=False),
    Column("task", String(20), nullable=False),
    Column("n", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("passed", Boolean),
    Column("verdict_digest", String(71)),
    Column("policy_digest", String(71)),
    Column("headline", Text, nullable=False),
    Column("measured_at", String(32), nullable=False),
    Column("saved_at", String(32), nullable=False),
    Column("saved_by", String(200), nullable=False),
    Column("event_id", String(26), nullable=False),
    Index("ix_evaluation_reports_model_digest_id", "model_digest", "id"),
)
"""One row for each report, which lies in the blobs under ``digest``. ``headline`` is its metrics as JSON."""
