"""Take a snapshot of a source, find it again, and read its rows."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Select, and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from trimtab.data.check import check, refuse_future
from trimtab.data.content import content_digest, from_parquet, to_parquet
from trimtab.data.errors import SnapshotMissing
from trimtab.data.events import SnapshotTaken
from trimtab.data.profile import profile_table
from trimtab.data.read import extra_columns_of, read_source
from trimtab.data.records import Checked, Snapshot
from trimtab.data.tables import data_snapshots, data_sources
from trimtab.declare import SourceSpec, declaration_digest
from trimtab.kernel import Actor, Invalid, digest_of
from trimtab.store import Change, Store, why_gone


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some snapshots, newest first, and where the next page begins (None: it was the last)."""

    items: tuple[Snapshot, ...]
    next: str | None = None


def take_snapshot(
    store: Store,
    source: SourceSpec,
    namespace: Mapping[str, Any],
    *,
    actor: Actor,
    because: str = "",
    folder: Path | None = None,
) -> Snapshot:
    """Read a source, hold it to its contract, and keep what passes; return the snapshot.

    When the source is found as it was the last time, that snapshot is returned and nothing is written. Raises what
    ``read_source`` and ``check`` raise, and ``TooNew`` when every row lies in the future; nothing is written then.
    """
    table = read_source(source, namespace, folder=folder)
    checked = check(source.contract, table, set_aside_limit=source.set_aside_limit)
    return keep_snapshot(store, source, checked, extra_columns=extra_columns_of(table), actor=actor, because=because)


def keep_snapshot(
    store: Store,
    source: SourceSpec,
    checked: Checked,
    *,
    extra_columns: tuple[str, ...] = (),
    actor: Actor,
    because: str,
) -> Snapshot:
    """Keep a checked table as the state of its source; the second half of ``take_snapshot``."""
    now = store.clock.now()
    future = refuse_future(source.contract, checked.kept, now=now)
    aside = checked.set_aside
    contract_digest = declaration_digest(source.contract)
    content = digest_of(
        {
            "source": source.name,
            "contract": contract_digest,
            "kept": content_digest(checked.kept),
            "set_aside": content_digest(aside) if aside.num_rows else None,
        }
    )
    id_ = "snap_" + content.removeprefix("sha256:")[:20]
    with store.read() as connection:
        known, head = _find(connection, id_), _head(connection, source.name)
    if known is not None and head == id_:
        return known
    if known is None:
        known = _describe(store, source, checked, id_=id_, content=content, contract_digest=contract_digest)
        known = msgspec.structs.replace(
            known, extra_columns=extra_columns, future_rows=future, taken_at=now, taken_by=actor.id
        )
    try:
        with store.change(actor, because) as change:
            _insert(change, known)
    except _SomebodyWasFirst:
        return get_snapshot(store, id_)
    return known


def get_snapshot(store: Store, snapshot_id: str) -> Snapshot:
    """Return one snapshot; raise ``SnapshotMissing``."""
    with store.read() as connection:
        found = _find(connection, snapshot_id)
    if found is None:
        gone = why_gone(store, f"snapshot:{snapshot_id}")
        raise SnapshotMissing(f"there is no snapshot {snapshot_id[:40]!r}", where="data", **gone)
    return found


def latest_snapshot(store: Store, source: str) -> Snapshot | None:
    """Return the state in which a source was found last, or None when it never was."""
    with store.read() as connection:
        head = _head(connection, source)
        return _find(connection, head) if head else None


def latest_ids(store: Store) -> dict[str, str]:
    """Return the id of the state in which each source was found last, by the source's name."""
    with store.read() as connection:
        rows = connection.execute(select(data_sources.c.source, data_sources.c.snapshot_id)).all()
    return {row.source: row.snapshot_id for row in rows}


def list_sources(store: Store) -> tuple[Snapshot, ...]:
    """Return the state in which each source was found last, by the source's name."""
    query = (
        select(data_snapshots.c.record)
        .join(data_sources, data_sources.c.snapshot_id == data_snapshots.c.id)
        .order_by(data_sources.c.source)
    )
    with store.read() as connection:
        return tuple(_decode(row.record) for row in connection.execute(query))


def list_snapshots(store: Store, source: str | None = None, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Return snapshots, newest first, of one source or of all; ``cursor`` is the ``next`` of the page before."""
    query: Select[Any] = select(data_snapshots.c.record, data_snapshots.c.taken_at, data_snapshots.c.id)
    if source is not None:
        query = query.where(data_snapshots.c.source == source)
    if cursor is not None:
        at, id_ = _read_cursor(cursor)
        earlier = and_(data_snapshots.c.taken_at == at, data_snapshots.c.id < id_)
        query = query.where(or_(data_snapshots.c.taken_at < at, earlier))
    query = query.order_by(data_snapshots.c.taken_at.desc(), data_snapshots.c.id.desc()).limit(limit + 1)
    with store.read() as connection:
        rows = connection.execute(query).all()
    more = rows[limit - 1] if len(rows) > limit else None
    items = tuple(_decode(row.record) for row in rows[:limit])
    return Page(items=items, next=f"{more.taken_at}|{more.id}" if more is not None else None)


def page_after(snapshot: Snapshot) -> str:
    """Return the cursor with which ``list_snapshots`` goes on behind a snapshot, with those taken before it."""
    return f"{snapshot.taken_at.isoformat()}|{snapshot.id}"


def load_snapshot(store: Store, snapshot: Snapshot | str) -> pa.Table:
    """Return the kept rows of a snapshot, verified, in source order."""
    found = get_snapshot(store, snapshot) if isinstance(snapshot, str) else snapshot
    return from_parquet(store.blobs.local_path(found.digest))


def set_aside_rows(store: Store, snapshot: Snapshot | str, *, limit: int | None = None, offset: int = 0) -> pa.Table:
    """Return the rows that broke the contract, in source order, each with its ``reason``."""
    found = get_snapshot(store, snapshot) if isinstance(snapshot, str) else snapshot
    if found.set_aside_digest is None:
        return empty_aside(found)
    return from_parquet(store.blobs.local_path(found.set_aside_digest)).slice(offset, limit)


def empty_aside(snapshot: Snapshot) -> pa.Table:
    """Return the rows that were set aside where none were: the columns alone."""
    return pa.table({name: pa.nulls(0) for name in (*snapshot.types, "reason")})


def _describe(
    store: Store, source: SourceSpec, checked: Checked, *, id_: str, content: str, contract_digest: str
) -> Snapshot:
    contract, kept, aside = source.contract, checked.kept, checked.set_aside
    data = to_parquet(kept)
    kinds = {field.name: field.kind.value for field in contract.fields}
    times = pc.min_max(kept.column(contract.event_time)).as_py()
    return Snapshot(
        id=id_,
        source=source.name,
        contract=contract.name,
        contract_digest=contract_digest,
        rows=kept.num_rows,
        set_aside_rows=aside.num_rows,
        digest=store.blobs.put(data),
        set_aside_digest=store.blobs.put(to_parquet(aside)) if aside.num_rows else None,
        content_digest=content,
        size_bytes=len(data),
        types={field.name: str(field.type) for field in kept.schema},
        profile=profile_table(kept, kinds, identity=(*contract.keys, contract.event_time)),
        breaks=checked.breaks,
        event_time_from=times["min"],
        event_time_to=times["max"],
        future_rows=0,
        taken_at=store.clock.now(),
        taken_by="",
    )


def _insert(change: Change, snapshot: Snapshot) -> None:
    """Add the snapshot unless it is known, make it its source's state, and say so."""
    connection = change.connection
    previous = _head(connection, snapshot.source)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {
        "id": snapshot.id, "source": snapshot.source, "contract": snapshot.contract,
        "contract_digest": snapshot.contract_digest, "digest": snapshot.digest,
        "set_aside_digest": snapshot.set_aside_digest, "rows": snapshot.rows,
        "taken_at": _text(snapshot.taken_at), "record": msgspec.json.encode(snapshot).decode(),
    }  # fmt: skip
    change.execute(dialect.insert(data_snapshots).values(row).on_conflict_do_nothing())
    state = dialect.insert(data_sources).values(
        source=snapshot.source, snapshot_id=snapshot.id, taken_at=_text(change.at)
    )
    state = state.on_conflict_do_update(
        index_elements=["source"],
        set_={"snapshot_id": state.excluded.snapshot_id, "taken_at": state.excluded.taken_at},
        where=data_sources.c.snapshot_id != state.excluded.snapshot_id,
    )
    # Two processes may read the same source at once: whoever comes second has nothing to say.
    if change.execute(state.returning(data_sources.c.source)).first() is None:
        raise _SomebodyWasFirst
    change.record(
        SnapshotTaken(
            snapshot_id=snapshot.id,
            source=snapshot.source,
            contract=snapshot.contract,
            contract_digest=snapshot.contract_digest,
            digest=snapshot.digest,
            set_aside_digest=snapshot.set_aside_digest,
            content_digest=snapshot.content_digest,
            rows=snapshot.rows,
            set_aside_rows=snapshot.set_aside_rows,
            previous_id=previous,
        )
    )


class _SomebodyWasFirst(Exception):
    """Another process has just found the source in the same state; this change is undone."""


def _find(connection: Connection, snapshot_id: str) -> Snapshot | None:
    row = connection.execute(select(data_snapshots.c.record).where(data_snapshots.c.id == snapshot_id)).first()
    return _decode(row.record) if row is not None else None


def _head(connection: Connection, source: str) -> str | None:
    """Return the id of the state in which a source was found last."""
    found = connection.execute(select(data_sources.c.snapshot_id).where(data_sources.c.source == source)).first()
    return str(found.snapshot_id) if found is not None else None


def _decode(record: str) -> Snapshot:
    return msgspec.json.decode(record, type=Snapshot)


def _text(at: datetime) -> str:
    return at.isoformat()


def _read_cursor(cursor: str) -> tuple[str, str]:
    at, bar, id_ = cursor.partition("|")
    if not bar or not at or not id_:
        raise Invalid(
            "the cursor is not one of ours",
            where="query cursor",
            why="A cursor is the next value of the page before, unchanged.",
            next="start again without a cursor",
        )
    return at, id_
