"""Take releases back: what they allowed ends with the transaction."""

import msgspec
from sqlalchemy import select, update

from trimtab.kernel import Conflict
from trimtab.registry.errors import ReleaseMissing
from trimtab.registry.events import ReleaseRevoked
from trimtab.registry.records import Version
from trimtab.registry.statement import Release
from trimtab.registry.tables import registry_releases
from trimtab.store import Change, check_reason, check_rows


def revoke_release(change: Change, release_id: str, *, because: str = "") -> None:
    """Take one release back; the version needs a new approval before it can be released again.

    Raises ``ReleaseMissing``, ``Conflict`` when it was revoked before, or ``ReasonMissing``.
    """
    reason = check_reason(because or change.because, f"revoke release {release_id[:40]}")
    table = registry_releases
    row = change.connection.execute(select(table).where(table.c.id == release_id)).mappings().one_or_none()
    if row is not None:
        check_rows(change.connection, table, [row])
    else:
        raise ReleaseMissing(f"there is no release {release_id[:40]!r}", where="releases")
    if row["revoked_at"] is not None:
        raise Conflict(
            f"release {release_id} was revoked before", where="releases", why=f"That was at {row['revoked_at']}.",
            next="nothing needs to be done",
        )  # fmt: skip
    _revoke(change, msgspec.json.decode(row["release"], type=Release), because=reason)


def revoke_releases_of(change: Change, version: Version, *, because: str) -> None:
    """Take every open release of a version back."""
    table = registry_releases
    query = (
        select(table.c.release)
        .where(table.c.model == version.model, table.c.version == version.number, table.c.revoked_at.is_(None))
        .order_by(table.c.id)
    )
    for text in change.connection.execute(query).scalars().all():
        _revoke(change, msgspec.json.decode(text, type=Release), because=because)


def _revoke(change: Change, release: Release, *, because: str) -> None:
    said = release.statement
    change.execute(
        update(registry_releases)
        .where(registry_releases.c.id == said.id)
        .values(revoked_at=change.at.isoformat(), revoked_by=change.actor.id, revoked_because=because)
    )
    change.record(
        ReleaseRevoked(
            model=said.model, number=said.version, covered=said.covered, release=said.id,
            release_digest=release.digest, reason=because,
        )
    )  # fmt: skip
