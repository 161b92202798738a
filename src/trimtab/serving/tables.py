"""How serving lies in SQL: who answers where, and which segments of the decision log are sealed."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

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
