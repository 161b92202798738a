"""How a project stands, and what needs a person: one definition for the first page, ``trimtab status`` and the API."""

from datetime import datetime, timedelta

import msgspec

from trimtab.data import Snapshot, list_sources
from trimtab.features import list_views
from trimtab.loop import Proposal, Turn, TurnState, approver_text, open_proposals, open_turns
from trimtab.monitoring import Alert, alerts
from trimtab.pipelines import PipelineRun, RunStatus, list_pipeline_runs
from trimtab.registry import CHAMPION, Version, all_models, waiting_versions
from trimtab.serving import Routing, list_endpoints
from trimtab.store import Store, ledger_size

FAILED_WITHIN = timedelta(days=1)
"""A pipeline run that failed is news for so long."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that asks for a person now, or goes on: all of it, newest first.

    ``waiting``: candidates that passed their gate and are newer than the champion; ``proposals``: policies of governed
    models that wait for a yes or a no; ``alerts``: those that nothing has
    resolved; ``turns``: those that have not ended; ``failed``: runs of the last day; ``aside``: the newest snapshots
    that hold rows which broke their contract.
    """

    waiting: tuple[Version, ...]
    proposals: tuple[Proposal, ...]
    alerts: tuple[Alert, ...]
    turns: tuple[Turn, ...]
    running: tuple[PipelineRun, ...]
    failed: tuple[PipelineRun, ...]
    aside: tuple[Snapshot, ...]


class SourceStanding(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    snapshot: str
    rows: int
    set_aside_rows: int
    taken_at: datetime


class ViewStanding(msgspec.Struct, frozen=True, kw_only=True):
    view: str
    version: int
    columns: int
    materialised_at: datetime | None


class ModelStanding(msgspec.Struct, frozen=True, kw_only=True):
    """``versions`` and ``waiting`` are counts, ``champion`` a number."""

    model: str
    versions: int
    champion: int | None
    waiting: int


class WaitingVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that waits for a yes or a no, by the role that its policy names."""

    version: str
    approve_by: str | None
    registered_at: datetime


class WaitingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that was proposed for a governed model, and who is asked for a yes or a no."""

    proposal: str
    model: str
    by: str
    asks: str
    proposed_at: datetime


class TurnStanding(msgspec.Struct, frozen=True, kw_only=True):
    turn: str
    model: str
    version: str | None
    state: TurnState
    since: datetime
    text: str


class AlertStanding(msgspec.Struct, frozen=True, kw_only=True):
    """``severity`` is ``page`` or ``note``, ``state`` is ``open`` or ``acknowledged``."""

    alert: str
    endpoint: str
    severity: str
    state: str
    raised_at: datetime
    title: str


class RunStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline run: ``steps_done`` of ``steps`` are over; ``error`` is what stopped it."""

    run: str
    pipeline: str
    status: RunStatus
    submitted_at: datetime
    steps: int
    steps_done: int
    error: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a project stands: everything that there is, and everything that needs a person. ``events``: in the ledger."""

    project: str
    at: datetime
    sources: tuple[SourceStanding, ...]
    views: tuple[ViewStanding, ...]
    models: tuple[ModelStanding, ...]
    endpoints: tuple[Routing, ...]
    waiting: tuple[WaitingVersion, ...]
    policies: tuple[WaitingPolicy, ...]
    alerts: tuple[AlertStanding, ...]
    turns: tuple[TurnStanding, ...]
    running: tuple[RunStanding, ...]
    failed: tuple[RunStanding, ...]
    events: int


def time_of_project(store: Store) -> datetime:
    """Return the time in which the project lives."""
    return store.clock.now()


def needs_of(store: Store) -> Needs:
    """Return what asks for a person now."""
    now = store.clock.now()
    standing = alerts(store, states=("open", "acknowledged"), limit=None)
    running = [
        run
        for status in (RunStatus.RUNNING, RunStatus.QUEUED)
        for run in list_pipeline_runs(store, status=status, limit=None)
    ]
    return Needs(
        waiting=tuple(version for model in all_models(store) for version in waiting_versions(store, model)),
        proposals=tuple(open_proposals(store)),
        alerts=tuple(sorted(standing, key=lambda alert: (alert.severity != "page", alert.state != "open"))),
        turns=tuple(open_turns(store)),
        running=tuple(sorted(running, key=lambda run: run.id, reverse=True)),
        failed=tuple(list_pipeline_runs(store, status=RunStatus.FAILED, since=now - FAILED_WITHIN, limit=None)),
        aside=tuple(snapshot for snapshot in list_sources(store) if snapshot.set_aside_rows),
    )


def standing_of(store: Store) -> Standing:
    """Return how a project stands now."""
    needs, settings = needs_of(store), store.settings
    waiting = [version.model for version in needs.waiting]
    return Standing(
        project=settings.project,
        at=store.clock.now(),
        sources=tuple(
            SourceStanding(
                source=s.source, snapshot=s.id, rows=s.rows, set_aside_rows=s.set_aside_rows, taken_at=s.taken_at
            )
            for s in list_sources(store)
        ),
        views=tuple(
            ViewStanding(view=v.name, version=v.version, columns=len(v.columns), materialised_at=v.materialised_at)
            for v in list_views(store, limit=None)
        ),
        models=tuple(
            ModelStanding(
                model=m.name, versions=m.versions, champion=m.aliases.get(CHAMPION), waiting=waiting.count(m.name)
            )
            for m in all_models(store)
        ),
        endpoints=tuple(endpoint.routing for endpoint in list_endpoints(store)),
        waiting=tuple(
            WaitingVersion(version=v.ref, approve_by=v.approve_by, registered_at=v.registered_at) for v in needs.waiting
        ),
        policies=tuple(
            WaitingPolicy(
                proposal=p.id, model=p.model, by=p.by.id, asks=approver_text(p.replaces.retraining), proposed_at=p.at
            )
            for p in needs.proposals
        ),
        alerts=tuple(
            AlertStanding(
                alert=a.id, endpoint=a.endpoint, severity=a.severity, state=a.state, raised_at=a.raised_at,
                title=a.title,
            )
            for a in needs.alerts
        ),
        turns=tuple(
            TurnStanding(
                turn=t.id, model=t.model, version=t.ref, state=t.state, since=t.since, text=t.moves[-1].text
            )
            for t in needs.turns
        ),
        running=tuple(map(_run, needs.running)),
        failed=tuple(map(_run, needs.failed)),
        events=ledger_size(store),
    )  # fmt: skip


def _run(run: PipelineRun) -> RunStanding:
    return RunStanding(
        run=run.id, pipeline=run.pipeline, status=run.status, submitted_at=run.submitted_at, steps=len(run.steps),
        steps_done=sum(step.status.is_final for step in run.steps),
        error=next((step.error.what for step in run.steps if step.error), None),
    )  # fmt: skip
