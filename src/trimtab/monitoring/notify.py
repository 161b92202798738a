"""Tell the targets: each message is kept until its target has taken it, tried again when it has not.

A message is written in the very change that raises or resolves its alert, so none is lost; it is sent at least once,
and perhaps twice when a process dies between sending and noting it. ``id`` of the CloudEvent is the same each time.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select, update

from trimtab.kernel import Settings, TrimtabError
from trimtab.monitoring.moments import moment_of, us_of
from trimtab.monitoring.records import Alert, Delivery
from trimtab.monitoring.senders import by_command, by_mail, by_webhook
from trimtab.monitoring.tables import monitoring_deliveries
from trimtab.store import Change, Store

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
MOST_TRIES = 30
"""After which, more than a day later, a message is given up."""
CLAIM = timedelta(minutes=2)
"""How long whoever sends a message has it for itself."""
AT_ONCE = 50
TYPE = "dev.trimtab.alert"
_log = logging.getLogger(__name__)


def targets_of(settings: Settings) -> tuple[str, ...]:
    """Return the targets that the settings name."""
    named = (("webhook", settings.alerts_webhook), ("mail", settings.alerts_mail), ("command", settings.alerts_command))
    return tuple(name for name, value in named if value)


def enqueue(change: Change, alert: Alert, what: str, *, targets: tuple[str, ...], origin: str) -> None:
    """Keep a message about an alert (``raised``, ``resolved``) for every target, to be sent from now on."""
    if not targets:
        return
    body = {
        "specversion": "1.0", "id": f"{alert.id}-{what}-{us_of(change.at)}", "type": f"{TYPE}.{what}",
        "source": f"/{origin}/endpoints/{alert.endpoint}", "subject": alert.group, "time": change.at.isoformat(),
        "datacontenttype": "application/json", "data": msgspec.to_builtins(alert),
    }  # fmt: skip
    text = msgspec.json.encode(body).decode()
    rows = [
        {
            "id": change.new_id(), "alert": alert.id, "target": target, "body": text, "attempts": 0,
            "due_us": us_of(change.at), "delivered_us": None, "failure": "",
        }
        for target in targets
    ]  # fmt: skip
    for row in rows:
        change.insert(monitoring_deliveries, row)


def deliver(store: Store) -> int:
    """Send every message that is due; return how many were taken.

    A target that is away delays only its own messages, and is tried once in a call.
    """
    now = store.clock.now()
    table = monitoring_deliveries.c
    query = select(monitoring_deliveries).where(table.due_us <= us_of(now)).order_by(table.due_us).limit(AT_ONCE)
    with store.read() as connection:
        due = connection.execute(query).all()
    taken, away = 0, set[str]()
    for row in due:
        if row.target in away or not _claimed(store, row, now):
            continue
        try:
            _send(store, row.target, row.body)
            failure = ""
        except (TrimtabError, OSError) as error:
            failure = str(error)[:500] or type(error).__name__
            away.add(row.target)
            _log.warning("alert %s is not delivered by %s yet: %s", row.alert, row.target, failure)
        _note(store, row, failure)
        taken += not failure
    return taken


def deliveries(store: Store, alert: str) -> list[Delivery]:
    """Return the messages about an alert, the oldest first."""
    table = monitoring_deliveries
    with store.read() as connection:
        rows = connection.execute(select(table).where(table.c.alert == alert).order_by(table.c.id)).all()
    return [
        Delivery(
            id=row.id, alert=row.alert, target=row.target, attempts=row.attempts, failure=row.failure,
            due_at=None if row.due_us is None else moment_of(row.due_us),
            delivered_at=None if row.delivered_us is None else moment_of(row.delivered_us),
        )
        for row in rows
    ]  # fmt: skip


def _claimed(store: Store, row: Any, now: datetime) -> bool:
    """Take a message, unless another process was quicker; count the attempt before it is made."""
    table = monitoring_deliveries
    mine = update(table).where(table.c.id == row.id, table.c.due_us == row.due_us)
    with store.journal() as journal:
        claimed = journal.execute(mine.values(due_us=us_of(now + CLAIM), attempts=row.attempts + 1))
        return claimed.rowcount == 1


def _note(store: Store, row: Any, failure: str) -> None:
    now = store.clock.now()
    tries = row.attempts + 1
    wait = min(FIRST_WAIT * 2 ** min(row.attempts, 20), LONGEST_WAIT)
    due = None if not failure or tries >= MOST_TRIES else us_of(now + wait)
    table = monitoring_deliveries
    with store.journal() as journal:
        journal.execute(
            update(table)
            .where(table.c.id == row.id)
            .values(due_us=due, delivered_us=None if failure else us_of(now), failure=failure)
        )


def _send(store: Store, target: str, body: str) -> None:
    settings = store.settings
    match target:
        case "webhook":
            by_webhook(
                settings.alerts_webhook, body, secret=settings.alerts_secret, key=store.keys.of(store.origin),
                at=store.clock.now(),
            )  # fmt: skip
        case "mail":
            by_mail(settings.alerts_smtp, settings.alerts_mail, body)
        case "command":
            by_command(settings.alerts_command, body)
        case _:
            raise OSError(f"there is no target {target!r}")
