"""``/ui``: what needs a person, and the last 24 hours."""

from datetime import timedelta

import msgspec

from trimtab.data import list_sources
from trimtab.features import list_views
from trimtab.kernel import Body, Call, Route
from trimtab.loop import Turn, TurnState, list_turns, open_turn_of
from trimtab.pipelines import PipelineRun, list_pipeline_runs
from trimtab.registry import Status, Version, list_models, list_versions
from trimtab.serving import list_endpoints
from trimtab.store import Store, events
from trimtab.ui.draw import time_strip
from trimtab.ui.links import link_of
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.screens.alarms import HOURS, line_of, open_alarms
from trimtab.ui.screens.audit import EventLine
from trimtab.ui.screens.endpoints import EndpointLine, traffic_of
from trimtab.ui.screens.loop import steps_of_turn
from trimtab.ui.stages import Step

AT = "/ui"
DAY = timedelta(hours=24)
WAITING_AT_MOST = 5


class Need(msgspec.Struct, frozen=True):
    """One thing that wants a person: a state, a sentence, and where to act."""

    tone: str
    word: str
    text: str
    href: str
    action: str


class OpenTurn(msgspec.Struct, frozen=True):
    """A turn of the loop that has not ended, and its steps."""

    turn: Turn
    steps: tuple[Step, ...]


def routes(desk: Desk) -> list[Route]:
    """Return the first page."""
    store = desk.rooms.store

    def home(call: Call) -> Body:
        now = store.clock.now()
        runs = list_pipeline_runs(store, limit=50)
        models = list_models(store).items
        versions = {model.name: list_versions(store, model.name).items for model in models}
        known = {status.endpoint: status for status in desk.rooms.gateway.status()}
        endpoints = [
            EndpointLine(endpoint, traffic_of(endpoint.routing), known.get(endpoint.routing.endpoint))
            for endpoint in list_endpoints(store)
        ]
        open_turns = [turn for model in models if (turn := open_turn_of(store, model.name)) is not None]
        waiting = [
            version for model in models
            for version in _waiting(store, versions[model.name], champion=model.aliases.get("champion", 0))
        ]  # fmt: skip
        needs = [*_endpoint_needs(endpoints, open_turns), *_run_needs(desk, runs)]
        sources, alarms = list_sources(store), open_alarms(store)
        # What the monitors found of the data is an alarm already, and says more.
        told = any(alarm.kind == "quality" for alarm in alarms)
        needs += [
            Need(
                "warn", "set aside", f"{s.set_aside_rows} of {s.source}'s rows broke their contract",
                f"/ui/data/{s.source}#aside", "Look",
            )
            for s in sources if s.set_aside_rows and not told
        ]  # fmt: skip
        recent = events(store, since=now - DAY, limit=5000, order="newest")
        strip = time_strip(
            [event.at for event in recent], bad=[event.at for event in recent if event.type.endswith("-failed")],
            start=now - DAY, end=now, slices=96, noun="events",
        )  # fmt: skip
        latest = events(store, limit=12, order="newest")
        return desk.pages.page(
            call, "home.html", at=AT, needs=needs, strip=strip, endpoints=endpoints, runs=runs[:6], models=models,
            waiting=[(version, _waits_for(version)) for version in waiting[:WAITING_AT_MOST]],
            alarms=[line_of(alert, store) for alert in alarms], hours=tuple(HOURS),
            waiting_more=max(0, len(waiting) - WAITING_AT_MOST),
            turns=[OpenTurn(turn, steps_of_turn(store, turn)) for turn in open_turns],
            sources=sources, views=list_views(store), size=desk.rooms.events(),
            events=[EventLine(event, tuple(link_of(subject) for subject in event.subjects)) for event in latest],
        )  # fmt: skip

    return [shown_at(AT, home, about="What needs a person, and the last 24 hours")]


def _endpoint_needs(lines: list[EndpointLine], open_turns: list[Turn]) -> list[Need]:
    """Return what is wrong with the endpoints, and canaries and shadows that no turn of the loop leads."""
    led = {turn.model for turn in open_turns if turn.state.rolls_out}
    needs = []
    for line in lines:
        routing = line.endpoint.routing
        href = f"/ui/endpoints/{routing.endpoint}"
        if line.status is not None and not line.status.ready:
            needs.append(Need("bad", "not ready", f"endpoint {routing.endpoint} does not answer", href, "Look"))
        elif line.status is not None and line.status.problems:
            needs.append(Need("warn", "not as routed", line.status.problems[0], href, "Look"))
        if routing.model in led:
            continue
        needs += [
            Need(
                "go",
                "canary",
                f"{routing.model}@{c.version} answers {c.percent:g} % of {routing.endpoint}",
                href,
                "Look",
            )
            for c in routing.canary
        ]
        needs += [
            Need("wait", "shadow", f"{routing.model}@{v} watches {routing.endpoint}", href, "Look")
            for v in routing.shadow
        ]
    return needs


def _run_needs(desk: Desk, runs: list[PipelineRun]) -> list[Need]:
    since = desk.rooms.store.clock.now() - DAY
    needs = []
    for run in runs:
        href = f"/ui/pipelines/{run.id}"
        if run.status.value == "failed" and run.submitted_at > since:
            wrong = next((step.error.what for step in run.steps if step.error), "a step failed")
            needs.append(Need("bad", "failed", f"{run.pipeline}: {wrong}", href, "Look"))
        elif not run.status.is_final:
            done = sum(step.status.is_final for step in run.steps)
            needs.append(
                Need("go", run.status.value, f"{run.pipeline}: {done} of {len(run.steps)} steps", href, "Watch")
            )
    return needs


def _waiting(store: Store, versions: tuple[Version, ...], *, champion: int) -> list[Version]:
    """Return the candidates that are newer than what answers, the newest first, without those that a turn refused."""
    found = [v for v in versions if v.status is Status.CANDIDATE and v.number > champion]
    if not any(v.verdict_passed is False for v in found):
        return found
    over = {turn.version for turn in list_turns(store, found[0].model) if turn.state is TurnState.REFUSED}
    return [v for v in found if v.number not in over]


def _waits_for(version: Version) -> str:
    gate = "passed its gate" if version.verdict_passed else "did not pass its gate"
    return f"{gate}, and waits for {version.approve_by or 'someone'} to say yes or no"
