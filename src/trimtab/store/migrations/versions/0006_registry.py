"""The registry: models, versions, approvals, aliases and releases."""

import sqlalchemy as sa
from alembic import op

revision = "0006_registry"
down_revision = "0005_evaluation"


def upgrade() -> None:
    op.create_table(
        "registry_models",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("added_at", sa.String(32), nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_registry_models"),
    )
    op.create_table(
        "registry_versions",
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("covered", sa.String(71), nullable=False),
        sa.Column("artifact", sa.String(71), nullable=False),
        sa.Column("person", sa.String(200)),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name="pk_registry_versions"),
        sa.ForeignKeyConstraint(["model"], ["registry_models.name"], name="fk_registry_versions_model"),
        sa.UniqueConstraint("model", "covered", name="uq_registry_versions_model_covered"),
    )
    op.create_index("ix_registry_versions_artifact", "registry_versions", ["artifact"])
    op.create_table(
        "registry_approvals",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("self_approved", sa.Boolean, nullable=False),
        sa.Column("bound_to", sa.String(71), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_approvals"),
        _of_version("registry_approvals"),
    )
    op.create_index("ix_registry_approvals_model_version_id", "registry_approvals", ["model", "version", "id"])
    op.create_table(
        "registry_aliases",
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("alias", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("moved_at", sa.String(32), nullable=False),
        sa.Column("moved_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("model", "alias", name="pk_registry_aliases"),
        _of_version("registry_aliases"),
    )
    op.create_table(
        "registry_releases",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("approval_id", sa.String(26), nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("release", sa.Text, nullable=False),
        sa.Column("issued_at", sa.String(32), nullable=False),
        sa.Column("revoked_at", sa.String(32)),
        sa.Column("revoked_by", sa.String(200)),
        sa.Column("revoked_because", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_registry_releases"),
        sa.UniqueConstraint("digest", name="uq_registry_releases_digest"),
        sa.ForeignKeyConstraint(["approval_id"], ["registry_approvals.id"], name="fk_registry_releases_approval_id"),
        _of_version("registry_releases"),
    )
    op.create_index("ix_registry_releases_model_version_id", "registry_releases", ["model", "version", "id"])


def _of_version(table: str) -> sa.ForeignKeyConstraint:
    versions = ["registry_versions.model", "registry_versions.number"]
    return sa.ForeignKeyConstraint(["model", "version"], versions, name=f"fk_{table}_model_version")
