"""``trimtab status``: how things stand, and what to do next."""

from datetime import timedelta
from typing import Any

import click
import msgspec

from trimtab.cli.looking import look, watch_option
from trimtab.cli.nouns.serving import traffic
from trimtab.cli.output import print_facts, show_one, text_option
from trimtab.cli.session import Session, pass_session
from trimtab.data import list_sources
from trimtab.features import list_views
from trimtab.loop import list_turns
from trimtab.monitoring import alerts
from trimtab.pipelines import RunStatus, list_pipeline_runs
from trimtab.registry import Model, Status, Version, list_models, list_versions
from trimtab.server import running_server
from trimtab.serving import list_endpoints
from trimtab.store import events


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a project stands, each line in words. ``next`` is the most useful next command."""

    project: str
    server: str | None
    sources: list[str]
    views: list[str]
    models: list[str]
    waiting: list[str]
    endpoints: list[str]
    turns: list[str]
    alerts: list[str]
    running: list[str]
    failed: list[str]
    events: int
    next: str


@click.command()
@watch_option
@text_option
@pass_session
def status(session: Session, watch: bool = False, every: float = 2.0, form: str = "text") -> None:
    """Say how things stand: data, models, endpoints, what waits for a person, what failed, and what to do next."""
    look(lambda: _show(standing_of(session), form), watch=watch, every=every)


def _show(standing: Standing, form: str) -> None:
    if form != "text":
        show_one(standing, form=form)
        return
    print_facts([line for line in _lines(standing) if line[1]])
    click.echo(f"\nNext: {standing.next}")


def standing_of(session: Session) -> Standing:
    """Read how the project stands."""
    store = session.store
    models = list(list_models(store).items)
    versions = {model.name: list(list_versions(store, model.name).items) for model in models}
    waiting = [v for model in models for v in versions[model.name] if _waits(v, model)]
    endpoints = list_endpoints(store)
    since = store.clock.now() - timedelta(days=1)
    failed = [r for r in list_pipeline_runs(store, status=RunStatus.FAILED, limit=10) if r.submitted_at > since]
    running = [
        run for status in (RunStatus.RUNNING, RunStatus.QUEUED) for run in list_pipeline_runs(store, status=status)
    ]
    turning = [turn for turn in list_turns(store, limit=100) if turn.state.is_open]
    alarms = alerts(store, states=("open",), limit=10)
    server = running_server(session.settings)
    newest = events(store, limit=1, order="newest")
    sources = list_sources(store)
    return Standing(
        project=session.settings.project,
        server=server.url if server else None,
        sources=[f"{s.source}: {s.rows:,} rows, {s.set_aside_rows:,} set aside".replace(",", " ", 1) for s in sources],
        views=[f"{v.name}@{v.version}: {len(v.columns)} columns" for v in list_views(store)],
        models=[_model(model, versions[model.name]) for model in models],
        waiting=[f"{v.ref} waits for {v.approve_by or 'someone'} to approve it" for v in waiting],
        endpoints=[f"{e.routing.endpoint}: {traffic(e.routing)}" for e in endpoints],
        turns=[
            f"{t.ref or t.model} {t.state.value} since {t.since:%Y-%m-%d %H:%M}: {t.moves[-1].text}" for t in turning
        ],
        alerts=[f"{a.severity} since {a.raised_at:%Y-%m-%d %H:%M}: {a.title}" for a in alarms],
        running=[f"{run.pipeline} {run.id}" for run in running],
        failed=[f"{run.pipeline} {run.id}" for run in failed],
        events=newest[0].position + 1 if newest else 0,
        next=_next(session, sources=bool(sources), waiting=waiting, serving=bool(endpoints), server=server is not None),
    )


def _waits(version: Version, model: Model) -> bool:
    """Say whether a candidate passed its gate and is newer than what answers."""
    newer = version.number > model.aliases.get("champion", 0)
    return version.status is Status.CANDIDATE and bool(version.verdict_passed) and newer


def _model(model: Model, versions: list[Version]) -> str:
    champion = f"@{model.aliases['champion']}" if "champion" in model.aliases else "none"
    count = "1 version" if model.versions == 1 else f"{model.versions} versions"
    return f"{model.name}: {count}, champion {champion}, newest {versions[0].ref if versions else 'none'}"


def _next(session: Session, *, sources: bool, waiting: list[Version], serving: bool, server: bool) -> str:
    if waiting:
        return f'trimtab approve {waiting[0].ref} --because "..."'
    if not sources:
        return "trimtab plan" if session.project_file(None).is_file() else "trimtab init"
    if not serving:
        return "trimtab plan"
    return "trimtab get decisions" if server else "trimtab up"


def _lines(standing: Standing) -> list[tuple[str, Any]]:
    return [
        ("server", standing.server or "not running"), ("data", "\n".join(standing.sources)),
        ("features", "\n".join(standing.views)), ("models", "\n".join(standing.models)),
        ("endpoints", "\n".join(standing.endpoints)), ("loop", "\n".join(standing.turns)),
        ("alerts", "\n".join(standing.alerts)), ("waiting", "\n".join(standing.waiting)),
        ("running", "\n".join(standing.running)), ("failed", "\n".join(standing.failed)),
        ("ledger", f"{standing.events} events"),
    ]  # fmt: skip
