"""Let an alias name another version."""

from sqlalchemy import delete, insert, select, update

from trimtab.registry.errors import ModelMissing, NotApproved
from trimtab.registry.events import AliasMoved
from trimtab.registry.records import CHALLENGER, CHAMPION, Version, VersionRef, check_alias
from trimtab.registry.rows import aliases_of, check_model, find_version, lock_version, yes_to
from trimtab.registry.tables import registry_aliases, registry_models
from trimtab.store import Change, check_reason


def set_alias(change: Change, ref: VersionRef | Version | str, alias: str) -> Version:
    """Let ``alias`` name a version; return it. Naming the same version again changes nothing and records nothing.

    Only an approved version whose approval covers what is registered becomes ``champion``: raises ``NotApproved``. It
    is no ``challenger`` any more then.
    """
    check_alias(alias, where=f"alias {alias[:80]!r}")
    version = lock_version(change.connection, VersionRef.of(ref))
    if alias == CHAMPION:
        _refuse_unapproved(change, version)
    was = aliases_of(change.connection, version.model).get(alias)
    if was == version.number:
        return version
    row = {"version": version.number, "moved_at": change.at.isoformat(), "moved_by": change.actor.id}
    if was is None:
        change.execute(insert(registry_aliases).values(model=version.model, alias=alias, **row))
    else:
        table = registry_aliases
        change.execute(update(table).where(table.c.model == version.model, table.c.alias == alias).values(**row))
    _record(change, version.model, alias, was=_at(change, version.model, was), now=version)
    if alias == CHAMPION and aliases_of(change.connection, version.model).get(CHALLENGER) == version.number:
        _drop(change, version.model, CHALLENGER)
    return version


def drop_alias(change: Change, model: str, alias: str) -> None:
    """Let ``alias`` name nothing. Without such an alias nothing changes.

    Raises ``ModelMissing``, and ``ReasonMissing`` without a reason.
    """
    check_reason(change.because, f"alias {model[:80]}@{alias[:80]}")
    _drop(change, model, alias)


def _drop(change: Change, model: str, alias: str) -> None:
    query = select(registry_models.c.name).where(registry_models.c.name == model).with_for_update()
    if change.connection.execute(query).first() is None:
        raise ModelMissing(f"there is no model {model[:80]!r}", where=f"alias {alias[:80]!r}")
    check_model(change.connection, model)
    was = aliases_of(change.connection, model).get(alias)
    if was is None:
        return
    table = registry_aliases
    change.execute(delete(table).where(table.c.model == model, table.c.alias == alias))
    _record(change, model, alias, was=_at(change, model, was), now=None)


def _refuse_unapproved(change: Change, version: Version) -> None:
    version.may_be_champion()
    approval = yes_to(change.connection, VersionRef.of(version))
    if approval is None or approval.bound_to != version.covers().digest:
        raise NotApproved(
            f"{version.ref} cannot become the champion",
            where=f"version {version.ref}",
            reason="Its approval covers something else than what is registered.",
            version=version.ref,
        )


def _at(change: Change, model: str, number: int | None) -> Version | None:
    return find_version(change.connection, VersionRef(model, number, "")) if number else None


def _record(change: Change, model: str, alias: str, *, was: Version | None, now: Version | None) -> None:
    change.record(
        AliasMoved(
            model=model, alias=alias, was=was.number if was else None, now=now.number if now else None,
            was_covered=was.covered if was else None, now_covered=now.covered if now else None,
        )
    )  # fmt: skip
