"""Alerts: raised by what checks find, one for each group, acknowledged by people, resolved when nothing is found."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.kernel import SYSTEM, Invalid
from trimtab.monitoring.errors import AlertMissing, AlertOver
from trimtab.monitoring.events import AlertAcknowledged, AlertRaised, AlertResolved, AlertsSilenced
from trimtab.monitoring.notify import enqueue, targets_of
from trimtab.monitoring.records import Alert, AlertKind, Checked, Sign, Silence
from trimtab.monitoring.tables import monitoring_alerts, monitoring_silences
from trimtab.store import Change, Store

_BECAUSE = "what the check found"
_GROUPS_MOST = 200
_TRIES = 3


def alerts(
    store: Store,
    *,
    endpoint: str | None = None,
    states: Collection[str] = ("open", "acknowledged", "resolved"),
    limit: int | None = 100,
    before_id: str | None = None,
) -> list[Alert]:
    """Return alerts, the newest first; ``states`` are those that are wanted, ``limit`` None: all of them."""
    table = monitoring_alerts.c
    query = select(table.alert).where(table.state.in_(sorted(states))).order_by(table.id.desc()).limit(limit)
    if endpoint is not None:
        query = query.where(table.endpoint == endpoint)
    if before_id is not None:
        query = query.where(table.id < before_id)
    with store.read() as connection:
        return [msgspec.json.decode(text, type=Alert) for text in connection.execute(query).scalars()]


def get_alert(store: Store, id: str) -> Alert:
    """Return one alert. Raises ``AlertMissing``."""
    with store.read() as connection:
        return _find(connection, id)


def acknowledge(change: Change, id: str) -> Alert:
    """Note that whoever makes the change has taken an alert on. Raises ``AlertMissing``, ``AlertOver``."""
    alert = _find(change.connection, id, lock=True)
    if alert.state == "resolved":
        at = alert.resolved_at.isoformat() if alert.resolved_at else ""
        raise AlertOver(f"alert {id} is resolved", where=f"alert {id}", at=at)
    if alert.state == "acknowledged":
        return alert
    taken = msgspec.structs.replace(
        alert, state="acknowledged", acknowledged_at=change.at, acknowledged_by=change.actor.id, because=change.because
    )
    _write(change, taken)
    change.record(AlertAcknowledged(endpoint=alert.endpoint, alert=alert.id, group=alert.group))
    return taken


def silence(change: Change, endpoint: str, *, until: datetime, groups: str = "*") -> Silence:
    """Send nothing for alerts of an endpoint whose group is like ``groups`` until a moment. Raises ``Invalid``."""
    if until.tzinfo is None or until <= change.at or not 0 < len(groups) <= _GROUPS_MOST:
        raise Invalid(
            f"alerts cannot be silenced until {until.isoformat()}", where=f"endpoint {endpoint[:100]}",
            why="A silence ends at a moment in the future (UTC) and names groups such as drift or quality:*.",
            next="pass a later moment, for example two hours from now",
        )  # fmt: skip
    made = Silence(
        id=change.new_id(), endpoint=endpoint, groups=groups, until=until, by=change.actor.id, because=change.because
    )
    change.execute(
        insert(monitoring_silences).values(
            id=made.id, endpoint=endpoint, until=until.isoformat(), silence=msgspec.json.encode(made).decode()
        )
    )
    for alert in _open(change.connection, endpoint):
        if fnmatchcase(alert.group, groups) and (alert.silenced_until is None or alert.silenced_until < until):
            _write(change, msgspec.structs.replace(alert, silenced_until=until))
    change.record(AlertsSilenced(endpoint=endpoint, silence=made.id, groups=groups, until=until.isoformat()))
    return made


def silences(store: Store, endpoint: str, *, at: datetime) -> list[Silence]:
    """Return what is silenced at a moment."""
    with store.read() as connection:
        return _silences(connection, endpoint, at)


def settle(
    store: Store, endpoint: str, signs: Sequence[Sign], *, kinds: Collection[AlertKind], at: datetime
) -> Checked:
    """Raise what is new among signs, and resolve what was raised before and is not among them any more.

    Only alerts of ``kinds`` are resolved: those that were looked for. Nothing is written while nothing changes. Safe to
    repeat, and for several processes to do at once: a group has one open alert at most.
    """
    for _ in range(_TRIES - 1):
        # Another process may raise the same alert in the same moment: then it is there when we look again.
        with suppress(IntegrityError):
            return _settled(store, endpoint, signs, kinds=kinds, at=at)
    return _settled(store, endpoint, signs, kinds=kinds, at=at)


def _settled(
    store: Store, endpoint: str, signs: Sequence[Sign], *, kinds: Collection[AlertKind], at: datetime
) -> Checked:  # fmt: skip
    found = {sign.group: sign for sign in signs}
    with store.read() as connection:
        if not _differs(connection, endpoint, found, kinds, at):
            return Checked(endpoint=endpoint, at=at, signs=tuple(signs))
    raised, resolved = [], []
    with store.change(SYSTEM, _BECAUSE) as change:
        standing = {alert.group: alert for alert in _open(change.connection, endpoint, lock=True)}
        quiet = _silences(change.connection, endpoint, at)
        for group, sign in sorted(found.items()):
            alert = standing.get(group)
            if alert is None or (alert.severity == "note" and sign.severity == "page"):
                raised.append(_raise(change, store, endpoint, sign, alert, quiet))
            elif _is_unsent(alert, at):
                _write(change, _sent(change, store, alert, "raised"))
                change.record(_raised(alert))
        for group, alert in sorted(standing.items()):
            if group not in found and alert.kind in kinds:
                resolved.append(_resolve(change, store, alert))
    return Checked(endpoint=endpoint, at=at, signs=tuple(signs), raised=tuple(raised), resolved=tuple(resolved))


def _differs(
    connection: Connection,
    endpoint: str,
    found: dict[str, Sign],
    kinds: Collection[AlertKind],
    at: datetime,
) -> bool:
    standing = {alert.group: alert for alert in _open(connection, endpoint)}
    worse = any(
        group not in standing or (standing[group].severity == "note" and sign.severity == "page")
        for group, sign in found.items()
    )
    over = any(group not in found and alert.kind in kinds for group, alert in standing.items())
    return worse or over or any(_is_unsent(alert, at) for alert in standing.values())


def _raise(
    change: Change, store: Store, endpoint: str, sign: Sign, before: Alert | None, quiet: Sequence[Silence]
) -> Alert:
    until = max((one.until for one in quiet if fnmatchcase(sign.group, one.groups)), default=None)
    alert = Alert(
        id=before.id if before else change.new_id(), endpoint=endpoint, kind=sign.kind, group=sign.group,
        severity=sign.severity, state="open", title=sign.title, lines=sign.lines, raised_at=change.at,
        silenced_until=until,
    )  # fmt: skip
    if before is None:
        change.execute(
            insert(monitoring_alerts).values(
                id=alert.id, endpoint=endpoint, state=alert.state, open_of=_open_of(alert),
                alert=msgspec.json.encode(alert).decode(),
            )
        )  # fmt: skip
    if alert.severity == "page" and until is None:
        alert = _sent(change, store, alert, "raised")
    _write(change, alert)
    change.record(_raised(alert))
    return alert


def _resolve(change: Change, store: Store, alert: Alert) -> Alert:
    over = msgspec.structs.replace(alert, state="resolved", resolved_at=change.at)
    quiet = alert.silenced_until is not None and alert.silenced_until > change.at
    if alert.sent and not quiet:
        enqueue(change, over, "resolved", targets=targets_of(store.settings), origin=store.origin)
    _write(change, over)
    change.record(AlertResolved(endpoint=alert.endpoint, alert=alert.id, group=alert.group))
    return over


def _sent(change: Change, store: Store, alert: Alert, what: str) -> Alert:
    told = msgspec.structs.replace(alert, sent=True)
    enqueue(change, told, what, targets=targets_of(store.settings), origin=store.origin)
    return told


def _is_unsent(alert: Alert, at: datetime) -> bool:
    """Say whether a page was kept quiet by a silence that is over."""
    quiet = alert.silenced_until is not None and alert.silenced_until > at
    return alert.severity == "page" and alert.state == "open" and not alert.sent and not quiet


def _raised(alert: Alert) -> AlertRaised:
    return AlertRaised(
        endpoint=alert.endpoint, alert=alert.id, group=alert.group, severity=alert.severity, title=alert.title
    )


def _open_of(alert: Alert) -> str | None:
    return None if alert.state == "resolved" else f"{alert.endpoint} {alert.group}"


def _write(change: Change, alert: Alert) -> None:
    change.execute(
        update(monitoring_alerts)
        .where(monitoring_alerts.c.id == alert.id)
        .values(state=alert.state, open_of=_open_of(alert), alert=msgspec.json.encode(alert).decode())
    )


def _find(connection: Connection, id: str, *, lock: bool = False) -> Alert:
    query = select(monitoring_alerts.c.alert).where(monitoring_alerts.c.id == id)
    text = connection.execute(query.with_for_update() if lock else query).scalar()
    if text is None:
        raise AlertMissing(f"there is no alert {id[:40]!r}", where="alerts")
    return msgspec.json.decode(text, type=Alert)


def _open(connection: Connection, endpoint: str, *, lock: bool = False) -> list[Alert]:
    table = monitoring_alerts.c
    query = select(table.alert).where(table.endpoint == endpoint, table.open_of.is_not(None)).order_by(table.id)
    texts = connection.execute(query.with_for_update() if lock else query).scalars()
    return [msgspec.json.decode(text, type=Alert) for text in texts]


def _silences(connection: Connection, endpoint: str, at: datetime) -> list[Silence]:
    table = monitoring_silences.c
    query = select(table.silence).where(table.endpoint == endpoint, table.until > at.isoformat()).order_by(table.id)
    return [msgspec.json.decode(text, type=Silence) for text in connection.execute(query).scalars()]
