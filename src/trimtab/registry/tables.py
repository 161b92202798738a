"""How the registry lies in SQL."""

from sqlalchemy import Boolean, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from trimtab.store import metadata

registry_models = Table(
    "registry_models",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("added_at", String(32), nullable=False),
    Column("added_by", String(200), nullable=False),
)
"""One row for each model. Registering a version locks it, so that numbers have no gap and no double."""

registry_versions = Table(
    "registry_versions",
    metadata,
    Column("model", String(100), ForeignKey("registry_models.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("status", String(20), nullable=False),
    Column("covered", String(71), nullable=False),
    Column("artifact", String(71), nullable=False, index=True),
    Column("person", String(200)),
    Column("record", Text, nullable=False),
    Unique("model", "covered"),
)
"""One row for each version. ``record`` is the whole ``Version`` as JSON but for its status, which alone changes.

``person`` is who trained or registered it, null when a service did."""

registry_approvals = Table(
    "registry_approvals",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("model", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("by", String(200), nullable=False),
    Column("self_approved", Boolean, nullable=False),
    Column("bound_to", String(71), nullable=False),
    Column("at", String(32), nullable=False),
    Column("record", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["registry_versions.model", "registry_versions.number"]),
    Index("ix_registry_approvals_model_version_id", "model", "version", "id"),
)
"""One row for each yes and no. Nothing is ever removed; ``record`` is the whole ``Approval`` as JSON."""

registry_aliases = Table(
    "registry_aliases",
    metadata,
    Column("model", String(100), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved_at", String(32), nullable=False),
    Column("moved_by", String(200), nullable=False),
    ForeignKeyConstraint(["model", "version"], ["registry_versions.model", "registry_versions.number"]),
)
"""Which version each alias names now."""

registry_releases = Table(
    "registry_releases",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("model", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("approval_id", String(26), ForeignKey("registry_approvals.id"), nullable=False),
    Column("key", String(40), nullable=False),
    Column("release", Text, nullable=False),
    Column("issued_at", String(32), nullable=False),
    Column("revoked_at", String(32)),
    Column("revoked_by", String(200)),
    Column("revoked_because", Text),
    ForeignKeyConstraint(["model", "version"], ["registry_versions.model", "registry_versions.number"]),
    Index("ix_registry_releases_model_version_id", "model", "version", "id"),
)
"""One row for each signed release: the whole ``Release`` as JSON, and when it was taken back."""
