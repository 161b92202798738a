"""Let go of sealed segments of the decision log, and remember which: what was removed is not missing or damaged."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select

from trimtab.serving.errors import DecisionRemoved
from trimtab.serving.events import RoutingChanged
from trimtab.serving.tables import serving_removed_segments, serving_segments
from trimtab.store import Change, Store, each_event, why_gone


def segments_before(connection: Connection, before: datetime) -> Sequence[Row[Any]]:
    """Return the sealed segments whose decisions were all taken before a moment, the oldest first."""
    table = serving_segments.c
    query = select(serving_segments).where(table.last_at < before.isoformat()).order_by(table.last_at, table.id)
    return connection.execute(query).all()


def remove_segments(change: Change, ids: Sequence[str]) -> list[str]:
    """Remove segments, and remember that they were there; return the digests of their blobs, which lie there still."""
    rows = change.connection.execute(select(serving_segments).where(serving_segments.c.id.in_(ids))).all()
    for row in rows:
        change.execute(
            insert(serving_removed_segments).values(
                id=row.id, endpoint=row.endpoint, first_id=row.first_id, last_id=row.last_id, count=row.count,
                removed_at=change.at.isoformat(),
            )
        )  # fmt: skip
    change.execute(delete(serving_segments).where(serving_segments.c.id.in_(ids)))
    return [row.digest for row in rows]


def removed_segments(store: Store) -> dict[str, int]:
    """Return the ids of all segments that were removed, and how many decisions each held."""
    table = serving_removed_segments.c
    with store.read() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(select(table.id, table.count))}


def check_not_removed(store: Store, id: str) -> None:
    """Raise ``DecisionRemoved`` when a decision with this id would lie in a segment that was removed."""
    with store.read() as connection:
        row = connection.execute(_holding(id)).first()
    if row is None:
        return
    gone = why_gone(store, f"segment:{row.id}")
    raise DecisionRemoved(
        f"decision {id} of {row.endpoint} is not kept any more",
        where="decision log",
        why=gone.get("why", f"The segment that would hold it was removed on {row.removed_at[:19]} UTC."),
        segment=row.id,
    )


def models_at(store: Store) -> dict[str, set[str]]:
    """Return, for each endpoint that ever was, every model that was routed there."""
    found: dict[str, set[str]] = {}
    for event in each_event(store, type=RoutingChanged.type):
        routings: Iterable[Any] = (event.data["was"], event.data["now"])
        found.setdefault(event.data["endpoint"], set()).update(one["model"] for one in routings if one)
    return found


def _holding(id: str) -> Select[Any]:
    table = serving_removed_segments.c
    return select(serving_removed_segments).where(table.first_id <= id, table.last_id >= id).order_by(table.id).limit(1)
