"""How serving lies in SQL: who answers where, and which segments of the decision log are sealed."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from trimtab.store import JOURNAL, metadata

serving_routes = Table(
    "serving_routes",
    metadata,
    Column("endpoint", String(100), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("routing", Text, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("changed_at", String(32), nullable=False),
    Column("changed_by", String(200), nullable=False),
)
"""One row for each endpoint: a ``Routing`` as JSON. ``revision`` rises with every change; gateways poll it."""

serving_segments = Table(
    "serving_segments",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("endpoint", String(100), nullable=False),
    Column("first_id", String(26), nullable=False),
    Column("last_id", String(26), nullable=False),
    Column("first_at", String(32), nullable=False),
    Column("last_at", String(32), nullable=False),
    Column("count", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("sealed_at", String(32), nullable=False),
    Index("ix_serving_segments_endpoint_first_id", "endpoint", "first_id"),
    Index("ix_serving_segments_first_id", "first_id"),
    Index("ix_serving_segments_endpoint_sealed_at", "endpoint", "sealed_at"),
)
"""One row for each sealed segment: the ids and moments that it spans, and the blob (Parquet) that holds it."""

serving_removed_segments = Table(
    "serving_removed_segments",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("endpoint", String(100), nullable=False, index=True),
    Column("first_id", String(26), nullable=False, index=True),
    Column("last_id", String(26), nullable=False),
    Column("count", Integer, nullable=False),
    Column("removed_at", String(32), nullable=False),
)
"""One row for each segment that was let go, so that nobody looks for its decisions, or takes it for missing."""

serving_homes = Table(
    "serving_homes",
    metadata,
    Column("home", String(32), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("clear_at", String(32), nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
    info=JOURNAL,
)
"""One row for each home that has served. ``open``: decisions may lie unsealed there, of ``clear_at`` and later.

Whoever looks for one raises ``asked``; the home seals, and answers with the same number.
"""

serving_figures = Table(
    "serving_figures",
    metadata,
    Column("endpoint", String(100), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(8), primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("writer", String(26), primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("dropped", Integer, nullable=False),
    Column("latency", LargeBinary, nullable=False),
    info=JOURNAL,
)
"""What each gateway (``writer``) counted in each minute (since 1970); ``latency`` is a ``Histogram`` packed."""
