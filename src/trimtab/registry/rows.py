"""Versions, approvals and aliases as rows, for every verb of this room."""

from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from trimtab.registry.errors import ModelMissing, VersionMissing
from trimtab.registry.records import LATEST, Approval, Status, Version, VersionRef
from trimtab.registry.tables import (
    registry_aliases,
    registry_approvals,
    registry_models,
    registry_releases,
    registry_versions,
)
from trimtab.store import RowsDamaged, check_none_missing, check_rows

_MOST = 2**31 - 1
"""The highest number that every database keeps in the column of versions."""


def locate(connection: Connection, ref: VersionRef) -> VersionRef:
    """Return the reference by number to what ``ref`` names; number 0 when it names nothing."""
    if ref.version is not None:
        return ref
    newest = ref.alias == LATEST
    number = newest_number(connection, ref.model) if newest else aliases_of(connection, ref.model).get(ref.alias, 0)
    return VersionRef(ref.model, number, "")


def find_version(connection: Connection, ref: VersionRef) -> Version:
    """Return the version that a reference names. Raises ``ModelMissing`` or ``VersionMissing``."""
    number = locate(connection, ref).version
    if number is not None and number > _MOST:  # asked for, it would be an error of the database
        raise _missing(connection, ref)
    row = connection.execute(
        select(registry_versions.c.status, registry_versions.c.record)
        .where(registry_versions.c.model == ref.model, registry_versions.c.number == number)
    ).first()  # fmt: skip
    if row is None:
        raise _missing(connection, ref)
    return version_of(row.status, row.record)


def lock_version(connection: Connection, ref: VersionRef) -> Version:
    """Return the version and keep others from changing its model until the end of the transaction."""
    query = select(registry_models.c.name).where(registry_models.c.name == ref.model)
    connection.execute(query.with_for_update())
    check_model(connection, ref.model)
    return find_version(connection, ref)


def check_model(connection: Connection, model: str) -> None:
    """Raise ``RowForged`` unless a model's versions, approvals, releases and aliases are what the ledger says."""
    for table in (registry_versions, registry_aliases):
        rows = connection.execute(select(table).where(table.c.model == model)).mappings()
        check_rows(connection, table, rows, all_of=(model,))
    for table in (registry_approvals, registry_releases):
        check_rows(connection, table, connection.execute(select(table).where(table.c.model == model)).mappings())
        check_none_missing(connection, table)  # an older one would take the place of one that was taken out


def version_of(status: str, record: str) -> Version:
    """Read a version from its row. Raises ``RowsDamaged`` for a status that there is not."""
    version = msgspec.json.decode(record, type=Version)
    if status not in tuple(Status):
        raise RowsDamaged(f"the status of {version.ref} is {status[:40]!r}", where="registry")
    return msgspec.structs.replace(version, status=Status(status))


def has_model(connection: Connection, name: str) -> bool:
    """Say whether a model of this name is registered, within a change."""
    return connection.execute(select(registry_models.c.name).where(registry_models.c.name == name)).first() is not None


def newest_number(connection: Connection, model: str) -> int:
    """Return the highest number of a model's versions, 0 when there is none."""
    query = select(func.max(registry_versions.c.number)).where(registry_versions.c.model == model)
    return connection.execute(query).scalar() or 0


def aliases_of(connection: Connection, model: str) -> dict[str, int]:
    """Return a model's aliases and the numbers that they name, by alias."""
    query = (
        select(registry_aliases.c.alias, registry_aliases.c.version)
        .where(registry_aliases.c.model == model)
        .order_by(registry_aliases.c.alias)
    )
    return {row.alias: row.version for row in connection.execute(query)}


def names_of(connection: Connection, version: Version) -> tuple[str, ...]:
    """Return the aliases that name a version."""
    return tuple(alias for alias, number in aliases_of(connection, version.model).items() if number == version.number)


def yes_to(connection: Connection, ref: VersionRef, *, id: str = "") -> Approval | None:
    """Return the newest approval of a version, by number, or that with an id; taken back or not."""
    found = (one for one in approvals_of(connection, ref) if one.outcome == "approved")
    return next((one for one in found if id in ("", one.id)), None)


def approvals_of(connection: Connection, ref: VersionRef) -> tuple[Approval, ...]:
    """Return every yes and no about a version, by number, newest first."""
    query = (
        select(registry_approvals.c.record)
        .where(registry_approvals.c.model == ref.model, registry_approvals.c.version == ref.version)
        .order_by(registry_approvals.c.id.desc())
    )
    return tuple(msgspec.json.decode(record, type=Approval) for record in connection.execute(query).scalars())


def text_of(record: Any) -> str:
    """Write a record as the JSON that its row holds."""
    return msgspec.json.encode(record).decode()


def _missing(connection: Connection, ref: VersionRef) -> ModelMissing | VersionMissing:
    newest = newest_number(connection, ref.model)
    if not newest:
        return ModelMissing(f"there is no model {ref.model!r}", where=f"reference {ref}")
    return VersionMissing(
        f"there is no version {ref}",
        where=f"reference {ref}",
        model=ref.model,
        versions=f"1 to {newest}" if newest > 1 else "1",
        aliases=", ".join(aliases_of(connection, ref.model)) or "none",
    )
