"""What the registry needs of other rooms: everything that any version, of any status, was made from."""

from collections.abc import Iterator

from sqlalchemy import Connection

from trimtab.registry.records import Version
from trimtab.registry.rows import version_of
from trimtab.registry.tables import registry_versions
from trimtab.store import all_rows


def needed_by_versions(connection: Connection) -> Iterator[str]:
    """Yield, for each version, its runs, its snapshots, and the blobs that its approval vouches for.

    Raises ``RowForged`` unless the versions are what the ledger says: none may be missing.
    """
    for version in versions_in(connection):
        lineage = version.lineage
        yield from (f"run:{id_}" for id_ in (lineage.run_id, lineage.pipeline_run_id) if id_)
        yield from (f"snapshot:{id_}" for id_ in lineage.snapshots)
        yield from (f"blob:{digest}" for _, digest in version.covers().blobs)


def asks_for_approval(connection: Connection) -> set[str]:
    """Return the models of which any version was registered under a policy that asks for somebody's approval."""
    return {v.model for v in versions_in(connection) if v.approve_by is not None or v.other_than_author}


def versions_in(connection: Connection) -> Iterator[Version]:
    """Yield every version. Raises ``RowForged`` unless they are what the ledger says."""
    return (version_of(row["status"], row["record"]) for row in all_rows(connection, registry_versions))
