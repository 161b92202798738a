"""Keep the reference of each version: a blob, named by the version, with its event in the ledger."""

import msgspec
from sqlalchemy import bindparam, delete, insert, select

from trimtab.kernel import digest_of_bytes
from trimtab.monitoring.events import ReferenceKept
from trimtab.monitoring.reference import Reference, reference_of, to_bytes
from trimtab.monitoring.tables import monitoring_references
from trimtab.store import Blobs, Change, Store

_REMEMBERED = 32
_read: dict[str, Reference] = {}
"""By digest, so that what is remembered cannot be wrong: references are large, and asked for every hour."""


class Kept(msgspec.Struct, frozen=True, eq=False):
    """A reference, and its digest."""

    digest: str
    reference: Reference


def keep_reference(change: Change, *, model: str, version: int, reference: Reference, blobs: Blobs) -> str:
    """Keep what a version is compared with; return its digest. A second one replaces the first from then on."""
    data = to_bytes(reference)
    digest = digest_of_bytes(data)
    table = monitoring_references
    mine = (table.c.model == model, table.c.version == version)
    was = change.connection.execute(select(table.c.digest).where(*mine)).scalar()
    if was == digest:
        return digest
    blobs.put(data)
    if was is not None:
        change.execute(delete(table).where(*mine))
    change.execute(
        insert(table).values(
            model=model, version=version, digest=digest, rows=reference.rows, kept_at=change.at.isoformat()
        )
    )
    change.record(
        ReferenceKept(
            model=model, version_number=version, digest=digest, rows=reference.rows,
            columns=tuple(cells.name for cells in reference.columns), was=was,
        )
    )  # fmt: skip
    return digest


def get_reference(store: Store, model: str, version: int) -> Reference | None:
    """Return what a version is compared with; None when nothing was kept. Raises ``Damaged``."""
    found = kept_references(store, {(model, version)}).get((model, version))
    return found.reference if found else None


def kept_references(store: Store, versions: set[tuple[str, int]]) -> dict[tuple[str, int], Kept]:
    """Return the references of some versions, by model and version."""
    if not versions:
        return {}
    with store.read() as connection:
        rows = connection.execute(_KEPT, {"models": sorted({model for model, _ in versions})}).all()
    return {
        (row.model, row.version): Kept(row.digest, _reference(store, row.digest))
        for row in rows
        if (row.model, row.version) in versions
    }


_KEPT = select(monitoring_references.c.model, monitoring_references.c.version, monitoring_references.c.digest).where(
    monitoring_references.c.model.in_(bindparam("models", expanding=True))
)


def _reference(store: Store, digest: str) -> Reference:
    found = _read.get(digest)
    if found is None:
        found = reference_of(store.blobs.get(digest))
        while len(_read) >= _REMEMBERED:
            _read.pop(next(iter(_read)))
        _read[digest] = found
    return found
