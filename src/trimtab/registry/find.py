"""Find models, versions and what was decided about them."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from trimtab.registry.errors import ModelMissing
from trimtab.registry.records import CHAMPION, Approval, Model, Status, Version, VersionRef
from trimtab.registry.rows import aliases_of, approvals_of, find_version, version_of, yes_to
from trimtab.registry.statement import Release
from trimtab.registry.tables import registry_models, registry_releases, registry_versions
from trimtab.store import Store

_PAGE = 500


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some models by name, and where the next page begins (None: it was the last)."""

    items: tuple[Model, ...]
    next: str | None = None


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some versions of a model, newest first, and where the next page begins (None: it was the last)."""

    items: tuple[Version, ...]
    next: str | None = None


def get_version(store: Store, ref: VersionRef | Version | str) -> Version:
    """Return the version that a reference names. Raises ``ModelMissing`` or ``VersionMissing``."""
    with store.read() as connection:
        return find_version(connection, VersionRef.of(ref))


def get_model(store: Store, name: str) -> Model:
    """Return a model. Raises ``ModelMissing``."""
    with store.read() as connection:
        row = connection.execute(select(registry_models).where(registry_models.c.name == name)).one_or_none()
        if row is None:
            raise ModelMissing(f"there is no model {name[:80]!r}", where="models")
        return _model(connection, row)


def list_models(store: Store, *, limit: int = 100, cursor: str = "", only: Collection[str] | None = None) -> ModelPage:
    """Return models by name, after ``cursor``; with ``only``, those of these names."""
    query = select(registry_models).where(registry_models.c.name > cursor).order_by(registry_models.c.name)
    if only is not None:
        query = query.where(registry_models.c.name.in_(only))
    with store.read() as connection:
        rows = connection.execute(query.limit(limit + 1)).all()
        items = tuple(_model(connection, row) for row in rows[:limit])
    return ModelPage(items=items, next=items[-1].name if len(rows) > limit else None)


def list_versions(store: Store, model: str, *, limit: int = 100, before: int | None = None) -> VersionPage:
    """Return versions of a model, newest first, with numbers below ``before``. Raises ``ModelMissing``."""
    table = registry_versions
    query = select(table.c.status, table.c.record).where(table.c.model == model).order_by(table.c.number.desc())
    if before is not None:
        query = query.where(table.c.number < before)
    with store.read() as connection:
        rows = connection.execute(query.limit(limit + 1)).all()
    if not rows:
        get_model(store, model)
    items = tuple(version_of(row.status, row.record) for row in rows[:limit])
    return VersionPage(items=items, next=str(items[-1].number) if len(rows) > limit else None)


def all_models(store: Store) -> Iterator[Model]:
    """Yield every model, by name."""
    cursor: str | None = ""
    while cursor is not None:
        page = list_models(store, limit=_PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next


def all_versions(store: Store, model: str) -> Iterator[Version]:
    """Yield every version of a model, newest first, read as they are asked for. Raises ``ModelMissing``."""
    before: int | None = None
    while True:
        page = list_versions(store, model, limit=_PAGE, before=before)
        yield from page.items
        if page.next is None:
            return
        before = int(page.next)


def waiting_versions(store: Store, model: Model) -> list[Version]:
    """Return the versions of a model that wait for a person's yes or no, newest first."""
    table, champion = registry_versions.c, model.aliases.get(CHAMPION, 0)
    query = (
        select(table.status, table.record)
        .where(table.model == model.name, table.number > champion, table.status == Status.CANDIDATE.value)
        .order_by(table.number.desc())
    )
    with store.read() as connection:
        found = [version_of(row.status, row.record) for row in connection.execute(query)]
    return [version for version in found if version.waits_for_approval(champion=champion)]


def list_approvals(store: Store, ref: VersionRef | Version | str) -> tuple[Approval, ...]:
    """Return every yes and no about a version, newest first."""
    with store.read() as connection:
        return approvals_of(connection, VersionRef.of(find_version(connection, VersionRef.of(ref))))


def approved_until(store: Store, ref: VersionRef) -> datetime | None:
    """Return when the newest approval of a version, by number, is over; None: it holds for good, or there is none."""
    with store.read() as connection:
        approval = yes_to(connection, ref)
    return approval.expires_at if approval is not None else None


def list_releases(store: Store, ref: VersionRef | Version | str) -> tuple[Release, ...]:
    """Return every release of a version, newest first, revoked ones too."""
    table = registry_releases
    with store.read() as connection:
        version = find_version(connection, VersionRef.of(ref))
        query = (
            select(table.c.release)
            .where(table.c.model == version.model, table.c.version == version.number)
            .order_by(table.c.id.desc())
        )
        return tuple(msgspec.json.decode(text, type=Release) for text in connection.execute(query).scalars())


def aliases(store: Store, model: str) -> dict[str, int]:
    """Return a model's aliases and the version numbers that they name."""
    with store.read() as connection:
        return aliases_of(connection, model)


def _model(connection: Connection, row: Row[Any]) -> Model:
    query = select(func.count()).select_from(registry_versions).where(registry_versions.c.model == row.name)
    return Model(
        name=row.name, owner=row.owner, description=row.description,
        added_at=datetime.fromisoformat(row.added_at), added_by=row.added_by,
        versions=connection.execute(query).scalar_one(), aliases=aliases_of(connection, row.name),
    )  # fmt: skip
