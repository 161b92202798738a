"""The nine phases of one model, each with its latest state and age: what the loop's page shows at a glance."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec

from trimtab.data import latest_snapshot
from trimtab.evaluation import get_evaluation
from trimtab.features import get_view
from trimtab.kernel import TrimtabError, figure
from trimtab.loop import Turn
from trimtab.monitoring import alerts, lately, windows
from trimtab.pipelines import PipelineRun, get_pipeline_run
from trimtab.registry import CHAMPION, Model, Status, Version, approval_state, get_version
from trimtab.serving import EndpointStatus, Routing
from trimtab.store import Store
from trimtab.ui.declared import Declared
from trimtab.ui.links import version_href
from trimtab.ui.render import counted
from trimtab.ui.stages import tone_of_turn
from trimtab.ui.tones import tone_of

WEEK = timedelta(days=7)
HEADLINE = ("log_loss", "auc", "rmse", "mae")


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One phase: its state as a tone and a word, one fact, when that was, and the page that has the rest."""

    name: str
    tone: str
    word: str
    fact: str = ""
    at: datetime | None = None
    href: str = ""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the phases of a model are read from. ``declared`` is None for a model that no file declares."""

    store: Store
    now: datetime
    model: Model
    declared: Declared | None
    turns: Sequence[Turn]
    newest: Version | None
    routing: Routing | None
    status: EndpointStatus | None


def phases_of(about: About) -> tuple[Phase, ...]:
    """Return the nine phases in their order; one that cannot be read says so and keeps no other from being shown."""
    return tuple(_told(name, read, about) for name, read in _PHASES)


def _told(name: str, read: Callable[[About], Phase | None], about: About) -> Phase:
    try:
        found = read(about)
    except TrimtabError as error:
        return Phase(name=name, tone="warn", word="not readable", fact=error.what)
    return found or Phase(name=name, tone="off", word="nothing yet")


def _data(about: About) -> Phase | None:
    names = about.declared.source_names() if about.declared else []
    snapshots = [s for s in (latest_snapshot(about.store, name) for name in names) if s is not None]
    if not snapshots:
        return None
    aside = sum(s.set_aside_rows for s in snapshots)
    many = f"{sum(s.rows for s in snapshots):,} rows".replace(",", "\u202f")
    return Phase(
        name="Data", tone="warn" if aside else "ok", word=f"{aside} set aside" if aside else "kept",
        fact=f"{many}, {len(snapshots)} source{'s' if len(snapshots) > 1 else ''}",
        at=min(s.taken_at for s in snapshots),
        href=f"/ui/data/{quote(names[0], safe='')}" if len(names) == 1 else "/ui/data",
    )  # fmt: skip


def _features(about: About) -> Phase | None:
    made = about.newest.lineage.view if about.newest else None
    name = about.declared.model.view.name if about.declared else made
    if name is None:
        return None
    view = get_view(about.store, name)
    return Phase(
        name="Features", tone="ok" if view.materialised_at else "off",
        word="online" if view.materialised_at else "offline only", fact=counted(len(view.columns), "columns"),
        at=view.materialised_at or view.registered_at, href=f"/ui/features/{quote(name, safe='')}",
    )  # fmt: skip


def _training(about: About) -> Phase | None:
    run = _run(about)
    if run is None:
        return None
    done = sum(step.status.is_final for step in run.steps)
    return Phase(
        name="Training", tone=tone_of(run.status.value), word=run.status.value,
        fact=f"{done} of {len(run.steps)} steps", at=run.finished_at or run.submitted_at,
        href=f"/ui/pipelines/{run.id}",
    )  # fmt: skip


def _run(about: About) -> PipelineRun | None:
    """Return the run that trains now, or the one that made the newest version."""
    id_ = next((turn.run for turn in about.turns if turn.run), None)
    made = about.newest.lineage.pipeline_run_id if about.newest else None
    found = max((one for one in (id_, made) if one), default=None)
    return get_pipeline_run(about.store, found) if found else None


def _evaluation(about: About) -> Phase | None:
    version = about.newest
    if version is None or version.evaluation_id is None:
        return None
    record = get_evaluation(about.store, version.evaluation_id).record
    name = next((name for name in HEADLINE if name in record.headline), None)
    value = record.headline[name].value if name else None
    word = {True: "passed", False: "failed", None: "not judged"}[record.passed]
    return Phase(
        name="Evaluation", tone=tone_of(word), word=word, at=record.measured_at,
        fact=f"{(name or '').replace('_', ' ')} {figure(value)}" if value is not None else version.ref,
        href=f"{version_href(version.ref)}/evaluation",
    )  # fmt: skip


def _registry(about: About) -> Phase | None:
    version = about.newest
    if version is None:
        return None
    word, fact = version.status.value, version.ref
    if version.status is Status.CANDIDATE and version.verdict_passed is False:
        word, fact = "refused", f"{version.ref}, by its gate"
    elif version.waits_for_approval(champion=about.model.aliases.get(CHAMPION, 0)):
        fact = f"{version.ref} waits for {version.approve_by or 'a yes'}"
    return Phase(
        name="Registry", tone=tone_of(word), word=word, fact=fact,
        at=version.registered_at, href=version_href(version.ref),
    )  # fmt: skip


def _serving(about: About) -> Phase | None:
    routing, status = about.routing, about.status
    if routing is None:
        return None
    tone, word = (
        ("wait", "being loaded") if status is None else ("ok", "ready") if status.ready else ("bad", "not ready")
    )
    parts = [f"{routing.model}@{routing.champion}"]
    parts += [f"canary @{canary.version} {canary.percent:g} %" for canary in routing.canary]
    parts += [f"shadow @{version}" for version in routing.shadow]
    entered = next((turn.since for turn in about.turns if turn.state.rolls_out or turn.ended_at is not None), None)
    return Phase(
        name="Serving", tone=tone, word=word, fact=", ".join(parts), at=entered,
        href=f"/ui/endpoints/{quote(routing.endpoint, safe='')}",
    )  # fmt: skip


def _monitoring(about: About) -> Phase | None:
    if about.routing is None:
        return None
    endpoint = about.routing.endpoint
    href = f"/ui/monitor/{quote(endpoint, safe='')}"
    week = lately(about.store, endpoint, version=None, over=WEEK)
    name = next((name for name in HEADLINE if name in week.metrics), None)
    found = week.metrics[name] if name else None
    fact = "no label final yet" if week.matures_s else "no label known yet"
    if found is not None and found.value is not None:
        through = f" to {week.until:%d %b}" if week.matures_s else ""
        fact = f"{(name or '').replace('_', ' ')} {figure(found.value)} over 7 d{through}, {counted(found.n, 'labels')}"
    standing = alerts(about.store, endpoint=endpoint, states=("open", "acknowledged"), limit=None)
    if standing:
        pages = sum(alert.severity == "page" for alert in standing)
        many, what = (pages, "alarms") if pages else (len(standing), "notes")
        word = counted(many, what)
        newest = max(alert.raised_at for alert in standing)
        return Phase(name="Monitoring", tone="bad" if pages else "warn", word=word, fact=fact, at=newest, href=href)
    seen = windows(about.store, endpoint, since=about.now - WEEK, until=about.now)
    at = seen[-1].until if seen else None
    if not any(row.n for row in seen if row.stage != "shadow"):
        return Phase(name="Monitoring", tone="off", word="no decision", fact="in 7 d", at=at, href=href)
    return Phase(name="Monitoring", tone="ok", word="quiet", fact=fact, at=at, href=href)


def _retraining(about: About) -> Phase | None:
    if not about.turns:
        return None
    turn = about.turns[0]
    return Phase(
        name="Retraining", tone=tone_of_turn(turn.state), word=turn.state.value,
        fact=f"{turn.ref or 'a version'}: {turn.trigger.kind.value}", at=turn.since, href=f"?turn={turn.id}",
    )  # fmt: skip


def _governance(about: About) -> Phase | None:
    if about.routing is None:
        return None
    champion = get_version(about.store, f"{about.routing.model}@{about.routing.champion}")
    state = approval_state(about.store, champion)
    if state.approval is None:
        return None
    return Phase(
        name="Governance", tone="ok" if state.valid else "bad", word="valid" if state.valid else "void",
        fact=f"{champion.ref}, {state.approval.by} said yes",
        at=state.approval.at, href=f"/ui/lineage?about=version:{quote(champion.ref, safe='@')}",
    )  # fmt: skip


_PHASES: tuple[tuple[str, Callable[[About], Phase | None]], ...] = (
    ("Data", _data), ("Features", _features), ("Training", _training), ("Evaluation", _evaluation),
    ("Registry", _registry), ("Serving", _serving), ("Monitoring", _monitoring), ("Retraining", _retraining),
    ("Governance", _governance),
)  # fmt: skip
