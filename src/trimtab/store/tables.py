"""How the ledger lies in SQL, and the mark of a database that is closed."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from trimtab.store.database import metadata

Position = BigInteger().with_variant(Integer, "sqlite")

ledger_events = Table(
    "ledger_events",
    metadata,
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("id", String(26), nullable=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("type", String(80), nullable=False, index=True),
    Column("idempotency_key", String(200)),
    Column("body", Text, nullable=False),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("rules", Boolean),
    Column("ruled_before", Position),
    Column("code", LargeBinary(32)),
    UniqueConstraint("id").ddl_if(dialect="postgresql"),  # in which order events are looked for there
)
"""One row for each event. ``body`` is canonical JSON; ``leaf`` is its RFC 9162 leaf hash.

``rules`` says that the body holds digests of governed rows, ``ruled_before`` is the position of the newest event before
this one that does (-1: none), and ``code`` authenticates all of it. They are null before events were authenticated.
"""

# Few events have a key, and every index that a row enters is another page to write.
_has_key = ledger_events.c.idempotency_key.is_not(None)
Index(
    "uq_ledger_events_idempotency_key",
    ledger_events.c.idempotency_key,
    unique=True,
    sqlite_where=_has_key,
    postgresql_where=_has_key,
)
Index(
    "ix_ledger_events_rules",
    ledger_events.c.position,
    sqlite_where=ledger_events.c.rules,
    postgresql_where=ledger_events.c.rules,
)

ledger_subjects = Table(
    "ledger_subjects",
    metadata,
    Column("position", Position, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("id", String(200), nullable=False),
    PrimaryKeyConstraint("kind", "id", "position"),
    sqlite_with_rowid=False,
)
"""What each event is about, to find the events of a thing."""

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("origin", String(80), nullable=False),
    Column("size", Position, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)
"""One row: the ledger's name, how many events there were when it was signed last, and the roots of the complete
subtrees that cover them, largest first. Where it ends is told by ``ledger.head``."""

ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", Position, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
)
"""The roots of complete subtrees of 256**level leaves, so that a proof reads a few hundred hashes, not all."""

ledger_checkpoints = Table(
    "ledger_checkpoints",
    metadata,
    Column("tile", Position, primary_key=True, autoincrement=False),
    Column("size", Position, nullable=False),
    Column("note", Text, nullable=False),
    Column("key", String(200), nullable=False),
)
"""Signed checkpoints: of each 256 sizes the newest one that was signed, with the public key that checks it."""

ledger_outbox = Table(
    "ledger_outbox",
    metadata,
    Column("seq", Position, Identity(), primary_key=True),
    Column("idempotency_key", String(200), unique=True),
    Column("bodies", Text, nullable=False),
    Column("code", LargeBinary(32)),
)
"""PostgreSQL only: the events of committed changes that have no position yet; a row a change, a body a line, and the
code that authenticates them."""

ledger_refused = Table(
    "ledger_refused",
    metadata,
    Column("seq", Position, primary_key=True, autoincrement=False),
    Column("bodies", Text, nullable=False),
    Column("why", String(200), nullable=False),
)
"""What stood in the outbox and was not put there by Trimtab: it got no position."""

store_closed = Table(
    "store_closed",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("state", String(20), nullable=False),
    Column("other", Text, nullable=False),
    Column("origin", String(80), nullable=False),
    Column("at", String(32), nullable=False),
)
"""No row as long as the database takes changes; one that says why it does not: ``Closing``."""
