"""How registered views and their materialisations lie in SQL. Feature values lie in the online store, not here."""

from sqlalchemy import Column, Integer, String, Table, Text, UniqueConstraint

from trimtab.store import Position, metadata

features_views = Table(
    "features_views",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(71), nullable=False, index=True),
    Column("owner", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("registered_at", String(32), nullable=False),
    Column("registered_by", String(200), nullable=False),
    UniqueConstraint("name", "version"),
)
"""One row for each version of each view. ``spec`` is the declaration as JSON."""

features_materialisations = Table(
    "features_materialisations",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("view", String(200), nullable=False),
    Column("digest", String(71), nullable=False, index=True),
    Column("how", String(20), nullable=False),
    Column("now", String(32), nullable=False),
    Column("facts", Position, nullable=False),
    Column("rows", Position, nullable=False),
    Column("tables", Text, nullable=False),
    Column("at", String(32), nullable=False),
)
"""One row for each time that the online store was filled or appended to, and the digests of the tables it read."""
