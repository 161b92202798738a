"""Watch an endpoint: take what its decision log has gained, and hand out the hours that are over."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select

from trimtab.monitoring.moments import hour_of, start_of
from trimtab.monitoring.records import WindowRow
from trimtab.monitoring.tables import monitoring_hours
from trimtab.monitoring.taking import take
from trimtab.store import Store


def watch(store: Store, endpoint: str, *, until: datetime) -> tuple[WindowRow, ...]:
    """Take an endpoint's new decisions into its hourly figures; return the hours that ended since the last watch.

    Hours [h, h+1) go by ``Decision.as_of`` and end at ``until`` at the latest, and never in the future. A decision that
    comes to the log late (a shadow's, or one about a moment long past) is added to its hour whenever it comes, so that
    figures never depend on when, or how often, or after how many crashes an endpoint was watched.
    """
    end = hour_of(min(until, store.clock.now()))
    before = take(store, endpoint, until=start_of(end).isoformat())
    if before.until and hour_of(datetime.fromisoformat(before.until)) >= end:
        return ()
    return _windows(store, endpoint, before.until and hour_of(datetime.fromisoformat(before.until)), end)


def windows(store: Store, endpoint: str, *, since: datetime, until: datetime) -> tuple[WindowRow, ...]:
    """Return the hours of [since, until) that were watched, oldest first, one row for each version and stage."""
    return _windows(store, endpoint, hour_of(since), hour_of(until - timedelta(microseconds=1)) + 1)


def _windows(store: Store, endpoint: str, since: Any, until: int) -> tuple[WindowRow, ...]:
    span = {"endpoint": endpoint, "first": -1 if since == "" else since, "last": until}
    with store.read() as connection:
        rows = connection.execute(_WINDOWS, span).all()
    return tuple(
        WindowRow(
            endpoint=endpoint, version=row.version, stage=row.stage, since=start_of(row.hour),
            until=start_of(row.hour + 1), n=row.n, labelled=row.labelled,
        )
        for row in rows
    )  # fmt: skip


_TABLE = monitoring_hours.c
_WINDOWS = (
    select(_TABLE.version, _TABLE.stage, _TABLE.hour, _TABLE.n, _TABLE.labelled)
    .where(
        _TABLE.endpoint == bindparam("endpoint"),
        _TABLE.hour >= bindparam("first"),
        _TABLE.hour < bindparam("last"),
    )
    .order_by(_TABLE.hour, _TABLE.version, _TABLE.stage)
)
