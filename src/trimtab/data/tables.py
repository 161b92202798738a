"""How snapshots lie in SQL."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from trimtab.store import Position, metadata

data_snapshots = Table(
    "data_snapshots",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("source", String(200), nullable=False),
    Column("contract", String(200), nullable=False),
    Column("contract_digest", String(71), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("set_aside_digest", String(71)),
    Column("rows", Position, nullable=False),
    Column("taken_at", String(32), nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_data_snapshots_source_taken_at_id", "source", "taken_at", "id"),
    Index("ix_data_snapshots_taken_at_id", "taken_at", "id"),
)
"""One row for each state of a source that was ever seen. ``record`` is the whole ``Snapshot`` as JSON."""

data_sources = Table(
    "data_sources",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("snapshot_id", String(26), ForeignKey("data_snapshots.id"), nullable=False),
    Column("taken_at", String(32), nullable=False),
)
"""The state in which each source was found last; it may go back to an earlier one."""
