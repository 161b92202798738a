"""Sources and snapshots, asked of a server. Rows come as the file that the snapshot's digest names."""

import pyarrow as pa

from trimtab.client.project import answers
from trimtab.data import (
    Page,
    Snapshot,
    SourceList,
    empty_aside,
    get_snapshot,
    latest_snapshot,
    list_snapshots,
    list_sources,
    load_snapshot,
    rows_of_file,
    set_aside_rows,
)
from trimtab.kernel import Remote

PAGE = 500


@answers(get_snapshot)
def _snapshot(server: Remote, snapshot_id: str) -> Snapshot:
    return server.get(Snapshot, "snapshots", snapshot_id)


@answers(list_sources)
def _sources(server: Remote) -> tuple[Snapshot, ...]:
    return server.get(SourceList, "sources").items


@answers(latest_snapshot)
def _latest(server: Remote, source: str) -> Snapshot | None:
    return next((found for found in _sources(server) if found.source == source), None)


@answers(list_snapshots)
def _snapshots(server: Remote, source: str | None = None, *, limit: int = 50, cursor: str | None = None) -> Page:
    found, following = server.listed(Page, "snapshots", limit=limit, page=PAGE, cursor=cursor, source=source)
    return Page(items=tuple(found), next=following)


@answers(load_snapshot)
def _rows(server: Remote, snapshot: Snapshot | str) -> pa.Table:
    found = _snapshot(server, snapshot) if isinstance(snapshot, str) else snapshot
    data, _ = server.fetch("snapshots", found.id, "files", "kept")
    return rows_of_file(data, digest=found.digest)


@answers(set_aside_rows)
def _aside(server: Remote, snapshot: Snapshot | str, *, limit: int | None = None, offset: int = 0) -> pa.Table:
    found = _snapshot(server, snapshot) if isinstance(snapshot, str) else snapshot
    if found.set_aside_digest is None:
        return empty_aside(found)
    data, _ = server.fetch("snapshots", found.id, "files", "set-aside")
    return rows_of_file(data, digest=found.set_aside_digest).slice(offset, limit)
