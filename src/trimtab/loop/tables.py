"""How the applied declarations, proposed policies and the turns of the loop lie in SQL."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from trimtab.store import JOURNAL, metadata

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

proposals = Table(
    "loop_proposals",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("open_of", String(200), unique=True),
    Column("digest", String(71), nullable=False),
    Column("proposal", Text, nullable=False),
    Index("ix_loop_proposals_model_id", "model", "id"),
)
"""One row for each proposed policy of a governed model: a ``Proposal`` as JSON but for its state, which alone changes.
``open_of`` is the model while it waits, so that a model has one at most; ``digest`` is that of the policy."""

turns = Table(
    "loop_turns",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("open_of", String(200), unique=True),
    Column("revision", Integer, nullable=False),
    Column("turn", Text, nullable=False),
    Index("ix_loop_turns_model_id", "model", "id"),
)
"""One row for each turn: a ``Turn`` as JSON. ``open_of`` is the model while the turn is open, so that a model has one
open turn at most; ``revision`` rises with each move, so that two controllers never both make it."""

marks = Table(
    "loop_marks",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("at", String(32), nullable=False),
    info=JOURNAL,
)
"""Moments that the loop remembers for a model: up to when outcomes were brought, since when a policy holds."""
