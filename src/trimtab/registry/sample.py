"""The rows that are stored with a version, to ask it with."""

from typing import Any

from trimtab.data import parquet_in
from trimtab.kernel import NotFound
from trimtab.registry.find import get_version
from trimtab.registry.records import Version, VersionRef
from trimtab.store import Store


def sample_rows(store: Store, ref: VersionRef | Version | str, *, limit: int = 1) -> list[dict[str, Any]]:
    """Return the first rows of the sample that a version was registered with. Raises ``NotFound`` when it has none."""
    version = get_version(store, ref)
    if version.artifacts.sample is None:
        raise NotFound(
            f"{version.ref} has no sample",
            where=f"version {version.ref}",
            why="It was registered without one.",
            next=f"trimtab predict {version.model} NAME=VALUE ...",
        )
    table = parquet_in(store.blobs.get(version.artifacts.sample))
    rows: list[dict[str, Any]] = table.slice(0, limit).to_pylist()
    return rows
