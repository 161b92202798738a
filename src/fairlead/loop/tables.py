"""How the applied declarations lie in SQL."""

from sqlalchemy import Column, String, Table, Text

from fairlead.store import metadata

declarations = Table(
    "loop_declarations",
    metadata,
    Column("project", String(100), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("spec", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("applied_at", String(32), nullable=False),
)
"""One row for each declared thing of each project, as it was last applied; ``file`` is where it was declared."""
