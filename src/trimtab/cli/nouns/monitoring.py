"""Alerts."""

from typing import Any

from trimtab.cli.nouns.noun import Asked, Noun
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.kernel import is_id
from trimtab.monitoring import Alert, alerts, get_alert
from trimtab.serving import get_endpoint


def _find(session: Session, asked: Asked) -> Any:
    if is_id(asked.name):
        return session.ask(get_alert, asked.name)
    found = session.ask(alerts, endpoint=asked.name or None, limit=asked.limit)
    if asked.name and not found:
        session.ask(get_endpoint, asked.name)  # of a name that nothing has, silence would be good news
    return found


def _facts(alert: Alert) -> list[tuple[str, Any]]:
    taken = f"{alert.acknowledged_by}: {alert.because}" if alert.acknowledged_by else "-"
    return [
        ("alert", alert.id), ("endpoint", alert.endpoint), ("group", alert.group), ("severity", alert.severity),
        ("state", alert.state), ("what", alert.title), ("seen", "\n".join(alert.lines) or "-"),
        ("raised", alert.raised_at), ("acknowledged", taken), ("resolved", alert.resolved_at or "-"),
    ]  # fmt: skip


NOUNS = {
    "alerts": Noun(
        find=_find,
        columns=[
            Column("ALERT", lambda a: a.id), Column("ENDPOINT", lambda a: a.endpoint),
            Column("STATE", lambda a: a.state), Column("SEVERITY", lambda a: a.severity),
            Column("GROUP", lambda a: a.group), Column("RAISED", lambda a: a.raised_at),
            Column("WHAT", lambda a: a.title),
        ],
        empty="Nothing has been found wrong:\n  trimtab status",
        facts=_facts,
    )
}  # fmt: skip
