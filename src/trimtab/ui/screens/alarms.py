"""Alarms as the pages show them, and the forms with which a person takes one on or keeps it quiet for a while."""

from datetime import timedelta
from urllib.parse import quote

import msgspec

from trimtab.kernel import Body, Call, Invalid, Permission, Route, in_path
from trimtab.monitoring import Alert, acknowledge, alerts, get_alert, silence, silences
from trimtab.monitoring import Silence as SilenceRecord
from trimtab.store import Store
from trimtab.ui.forms import form_of, reason_in
from trimtab.ui.render import see_other
from trimtab.ui.screen import Desk, done_at

OPEN_SHOWN = 20
RESOLVED_SHOWN = 5
HOURS = {"1 hour": 1, "8 hours": 8, "1 day": 24, "1 week": 168}


class AlarmLine(msgspec.Struct, frozen=True):
    """An alert with its tone and its word: one that pages nobody is only shown."""

    alert: Alert
    tone: str
    word: str
    quiet: bool


class Alarms(msgspec.Struct, frozen=True):
    """What is wrong at an endpoint now, what was lately, and what is kept quiet.

    ``open`` are the first of ``standing`` alarms; ``resolved_more``: there are others before those that are shown.
    """

    open: tuple[AlarmLine, ...]
    standing: int
    resolved: tuple[AlarmLine, ...]
    resolved_more: bool
    silences: tuple[SilenceRecord, ...]


def routes(desk: Desk) -> list[Route]:
    """Return the forms about alarms."""
    store = desk.rooms.store

    def take_on(call: Call, body: bytes) -> Body:
        with store.change(call.actor, reason_in(form_of(body))) as change:
            taken = acknowledge(change, call.path["id"])
        return see_other(_page(taken.endpoint))

    def keep_quiet(call: Call, body: bytes) -> Body:
        form, endpoint = form_of(body), call.path["endpoint"]
        hours = HOURS.get(form.get("for", ""))
        if hours is None:
            raise Invalid(
                f"{form.get('for', '')[:40]!r} is no span of time here", where="form", why="A silence has to end.",
                next=f"use one of: {', '.join(HOURS)}",
            )  # fmt: skip
        with store.change(call.actor, reason_in(form)) as change:
            silence(change, endpoint, until=change.at + timedelta(hours=hours), groups=form.get("groups", "") or "*")
        return see_other(_page(endpoint))

    write = Permission.REGISTER
    of_alert = in_path("id", lambda alert: get_alert(store, alert).endpoint)
    return [
        done_at("/ui/alerts/{id}/acknowledge", take_on, about="Take an alarm on", permission=write, resource=of_alert),
        done_at("/ui/monitor/{endpoint}/silence", keep_quiet, about="Keep alarms quiet for a while", permission=write),
    ]


def alarms_of(store: Store, endpoint: str) -> Alarms:
    """Return the alarms of an endpoint, those that page first."""
    now = store.clock.now()
    standing = [line_of(alert, store) for alert in open_alarms(store, endpoint)]
    over = alerts(store, endpoint=endpoint, states=("resolved",), limit=RESOLVED_SHOWN + 1)
    return Alarms(
        open=tuple(standing[:OPEN_SHOWN]), standing=len(standing),
        resolved=tuple(line_of(alert, store) for alert in over[:RESOLVED_SHOWN]),
        resolved_more=len(over) > RESOLVED_SHOWN, silences=tuple(silences(store, endpoint, at=now)),
    )  # fmt: skip


def open_alarms(store: Store, endpoint: str) -> list[Alert]:
    """Return all that is wrong at an endpoint now, those that page first, each kind the newest first."""
    found = alerts(store, endpoint=endpoint, states=("open", "acknowledged"), limit=None)
    return sorted(found, key=lambda alert: (alert.severity != "page", alert.state != "open"))


def line_of(alert: Alert, store: Store) -> AlarmLine:
    """Return an alert as a row."""
    quiet = alert.silenced_until is not None and alert.silenced_until > store.clock.now()
    if alert.state == "resolved":
        return AlarmLine(alert, "ok", "resolved", quiet)
    if alert.state == "acknowledged":
        return AlarmLine(alert, "go", "taken on", quiet)
    tone, word = ("bad", "alarm") if alert.severity == "page" else ("warn", "note")
    return AlarmLine(alert, tone, word, quiet)


def _page(endpoint: str) -> str:
    return f"/ui/monitor/{quote(endpoint, safe='')}#alarms"
