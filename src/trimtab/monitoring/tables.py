"""How monitoring lies in SQL: what was decided and what came of it, hourly sums and cells, references, alerts.

Moments end in ``_us`` (microseconds since 1970); ``hour`` counts hours since 1970. Journal tables hold what can be
computed again from the decision log and the outcomes, both of which the ledger vouches for.
"""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, String, Table, Text

from trimtab.store import JOURNAL, metadata

monitoring_watches = Table(
    "monitoring_watches",
    metadata,
    Column("endpoint", String(100), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("until", String(32), nullable=False),
    Column("marks", LargeBinary, nullable=False),
    info=JOURNAL,
)
"""One row for each endpoint: how far its decision log was taken (``marks``, MessagePack), and up to which hour it was
watched. Whoever writes sums of the endpoint locks this row first; ``revision`` rises with every take."""

monitoring_scores = Table(
    "monitoring_scores",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("endpoint", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", String(8), nullable=False),
    Column("hour", Integer, nullable=False),
    Column("as_of_us", BigInteger, nullable=False),
    Column("subject", String(26), nullable=False),
    Column("key", String(64)),
    Column("score", Double),
    Index("ix_monitoring_scores_subject", "subject"),
    Index("ix_monitoring_scores_endpoint_key", "endpoint", "key"),
    Index("ix_monitoring_scores_endpoint_hour", "endpoint", "hour"),
    info=JOURNAL,
)
"""One row for each decision taken from the log. ``subject`` is the answered decision (its own id, or what it mirrors);
``key`` digests the key columns; ``score`` is the probability of True or the predicted number."""

monitoring_outcomes = Table(
    "monitoring_outcomes",
    metadata,
    Column("subject", String(26), primary_key=True),
    Column("endpoint", String(100), nullable=False),
    Column("value", Double, nullable=False),
    Column("known_us", BigInteger, nullable=False),
    Column("corrections", Integer, nullable=False),
    Index("ix_monitoring_outcomes_endpoint_known_us", "endpoint", "known_us"),
)
"""What came of each answered decision, as it was last known."""

monitoring_hours = Table(
    "monitoring_hours",
    metadata,
    Column("endpoint", String(100), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(8), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer, nullable=False),
    Column("labelled", Integer, nullable=False),
    Column("sums", Text, nullable=False),
    Index("ix_monitoring_hours_endpoint_hour", "endpoint", "hour"),
    info=JOURNAL,
)
"""Additive figures of each version, stage and hour; ``sums`` are exact (see ``sums.py``)."""

monitoring_cells = Table(
    "monitoring_cells",
    metadata,
    Column("endpoint", String(100), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("hours", Integer, primary_key=True, autoincrement=False),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("reference", String(71), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("counts", LargeBinary, nullable=False),
    Column("partial_moments", LargeBinary),
    info=JOURNAL,
)
"""How many rows of each version fell into which cell of the version's reference, from ``hour`` on for 1 and for 24
``hours``: a month is then thirty rows, not seven hundred. ``partial_moments`` are NULL where an earlier
release counted."""

monitoring_references = Table(
    "monitoring_references",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(71), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("kept_at", String(32), nullable=False),
)
"""The reference of each version: a blob."""

monitoring_skews = Table(
    "monitoring_skews",
    metadata,
    Column("endpoint", String(100), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("day", String(10), primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("differing", Integer, nullable=False),
    Column("columns", Text, nullable=False),
    info=JOURNAL,
)
"""How many served rows of a day were computed again, and how many came out otherwise."""

monitoring_alerts = Table(
    "monitoring_alerts",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("endpoint", String(100), nullable=False),
    Column("state", String(12), nullable=False),
    Column("open_of", String(300), unique=True),
    Column("alert", Text, nullable=False),
    Index("ix_monitoring_alerts_endpoint_id", "endpoint", "id"),
)
"""One row for each alert: an ``Alert`` as JSON. ``open_of`` is its endpoint and group until it is resolved, so that a
group has one open alert at most."""

monitoring_silences = Table(
    "monitoring_silences",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("endpoint", String(100), nullable=False),
    Column("until", String(32), nullable=False),
    Column("silence", Text, nullable=False),
    Index("ix_monitoring_silences_endpoint", "endpoint"),
)
"""One row for each silence: a ``Silence`` as JSON."""

monitoring_deliveries = Table(
    "monitoring_deliveries",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("alert", String(26), nullable=False),
    Column("target", String(20), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_us", BigInteger),
    Column("delivered_us", BigInteger),
    Column("failure", Text, nullable=False),
    Index("ix_monitoring_deliveries_alert", "alert"),
    Index("ix_monitoring_deliveries_due_us", "due_us"),
    info=JOURNAL,
)
"""One row for each message to each target. ``due_us`` is when it is tried next; NULL once it is over."""
