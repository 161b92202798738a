"""``trimtab status``: how things stand, and what to do next."""

from collections.abc import Sequence
from typing import Any

import click

from trimtab.cli.looking import look, watch_option
from trimtab.cli.nouns.serving import traffic
from trimtab.cli.output import print_facts, show_one, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.server import Standing, running_server, standing_of

LINES = 10
"""Lines of one kind that the text shows; the JSON has all of them."""


class Status(Standing, frozen=True, kw_only=True):
    """How a project stands, where it is served, and the most useful next command."""

    server: str | None
    next: str


@click.command()
@watch_option
@text_option
@pass_session
def status(session: Session, watch: bool = False, every: float = 2.0, form: str = "text") -> None:
    """Say how things stand: data, models, endpoints, what waits for a person, what failed, and what to do next."""
    look(lambda: _show(status_of(session), form), watch=watch, every=every)


def status_of(session: Session) -> Status:
    """Read how the project stands."""
    found = session.ask(standing_of)
    server = session.settings.server or _running(session)
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    return Status(**values, server=server or None, next=_next(session, found, served=bool(server)))


def _running(session: Session) -> str:
    server = running_server(session.settings)
    return server.url if server else ""


def _show(found: Status, form: str) -> None:
    if form != "text":
        show_one(found, form=form)
        return
    print_facts([line for line in _lines(found) if line[1]])
    click.echo(f"\nNext: {found.next}")


def _next(session: Session, found: Standing, *, served: bool) -> str:
    if found.waiting:
        return f'trimtab approve {found.waiting[0].version} --because "..."'
    if found.policies:
        return f'trimtab approve policy {found.policies[0].model} --because "..."'
    if not found.sources:
        return "trimtab plan" if session.project_file(None).is_file() else "trimtab init"
    if not found.endpoints:
        return "trimtab plan"
    return "trimtab get decisions" if served else "trimtab up"


def _lines(found: Status) -> list[tuple[str, Any]]:
    return [
        ("server", found.server or "not running"),
        ("data", _first([f"{s.source}: {_many(s.rows)} rows, {_many(s.set_aside_rows)} set aside"
                         for s in found.sources])),
        ("features", _first([f"{v.view}@{v.version}: {v.columns} columns" for v in found.views])),
        ("models", _first([_model(m.model, m.versions, m.champion) for m in found.models])),
        ("endpoints", _first([f"{routing.endpoint}: {traffic(routing)}" for routing in found.endpoints])),
        ("loop", _first([f"{t.version or t.model} {t.state.value} since {t.since:%Y-%m-%d %H:%M}: {t.text}"
                         for t in found.turns])),
        ("alerts", _first([f"{a.severity}, {a.state}, since {a.raised_at:%Y-%m-%d %H:%M}: {a.title}"
                           for a in found.alerts])),
        ("waiting", _first([*(f"{v.version} waits for {v.approve_by or 'someone'} to approve it"
                              for v in found.waiting),
                            *(f"the policy of {p.model}, proposed by {p.by}, waits for {p.asks}"
                              for p in found.policies)])),
        ("running", _first([f"{run.pipeline} {run.run}" for run in found.running])),
        ("failed", _first([f"{run.pipeline} {run.run}" for run in found.failed])),
        ("ledger", f"{_many(found.events)} events"),
    ]  # fmt: skip


def _first(lines: Sequence[str]) -> str:
    """Return the first lines of one kind, and how many more there are."""
    left = len(lines) - LINES
    more = [f"and {left} more: trimtab status -o json"] if left > 0 else []
    return "\n".join([*lines[:LINES], *more])


def _model(name: str, versions: int, champion: int | None) -> str:
    count = "1 version" if versions == 1 else f"{_many(versions)} versions"
    return f"{name}: {count}, champion {f'@{champion}' if champion else 'none'}"


def _many(count: int) -> str:
    return f"{count:,}".replace(",", " ")
