"""``/ui``: what needs a person, and the last 24 hours."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from trimtab.data import list_sources
from trimtab.features import list_views
from trimtab.kernel import Body, Call, Route
from trimtab.loop import Turn
from trimtab.pipelines import list_pipeline_runs
from trimtab.registry import all_models
from trimtab.server import Needs, needs_of
from trimtab.serving import list_endpoints
from trimtab.store import Store, event_times, events
from trimtab.ui.draw import Strip, time_strip
from trimtab.ui.render import number
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.screens.alarms import HOURS, line_of
from trimtab.ui.screens.audit import line_of_event
from trimtab.ui.screens.endpoints import EndpointLine, traffic_of
from trimtab.ui.screens.loop import steps_of_turn
from trimtab.ui.stages import Step

AT = "/ui"
DAY = timedelta(hours=24)
WAITING_SHOWN = 5
ALARMS_SHOWN = 20
NEEDS_SHOWN = 20
TURNS_SHOWN = 5
ENDPOINTS_SHOWN = 20
RUNS_SHOWN = 6
EVENTS_SHOWN = 12


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
        now, needs = store.clock.now(), needs_of(store)
        known = {status.endpoint: status for status in desk.rooms.gateway.status()}
        endpoints = [
            EndpointLine(endpoint, traffic_of(endpoint.routing), known.get(endpoint.routing.endpoint))
            for endpoint in list_endpoints(store)
        ]
        others = [
            *_policy_needs(needs), *_endpoint_needs(endpoints, needs.turns), *_run_needs(needs), *_data_needs(needs)
        ]  # fmt: skip
        return desk.pages.page(
            call, "home.html", at=AT, needs=needs, waiting=needs.waiting[:WAITING_SHOWN],
            alarms=[line_of(alert, store) for alert in needs.alerts[:ALARMS_SHOWN]], hours=tuple(HOURS),
            others=others, others_shown=others[:NEEDS_SHOWN],
            turns=[OpenTurn(turn, steps_of_turn(store, turn)) for turn in needs.turns[:TURNS_SHOWN]],
            endpoints=endpoints, endpoints_shown=endpoints[:ENDPOINTS_SHOWN],
            runs=list_pipeline_runs(store, limit=RUNS_SHOWN), models=sum(1 for _ in all_models(store)),
            sources=len(list_sources(store)), views=len(list_views(store, limit=None)), size=desk.rooms.events(),
            strip=_last_day(store, now),
            events=[line_of_event(event) for event in events(store, limit=EVENTS_SHOWN, order="newest")],
        )  # fmt: skip

    return [shown_at(AT, home, about="What needs a person, and the last 24 hours")]


def _last_day(store: Store, now: datetime) -> Strip:
    happened = event_times(store, since=now - DAY)
    return time_strip(
        [at for at, _ in happened], bad=[at for at, type_ in happened if type_.endswith("-failed")],
        start=now - DAY, end=now, slices=96, noun="events",
    )  # fmt: skip


def _endpoint_needs(lines: Sequence[EndpointLine], open_turns: Sequence[Turn]) -> list[Need]:
    """Return what is wrong with the endpoints, and canaries and shadows that no turn of the loop leads."""
    led = {turn.model for turn in open_turns if turn.state.rolls_out}
    needs = []
    for line in lines:
        routing = line.endpoint.routing
        href = f"/ui/endpoints/{routing.endpoint}"
        if line.status is not None and not line.status.ready:
            needs.append(Need("bad", "not ready", f"endpoint {routing.endpoint} does not answer", href, "Look"))
        elif line.status is not None:
            needs += [Need("warn", "not as routed", problem, href, "Look") for problem in line.status.problems]
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


def _policy_needs(needs: Needs) -> list[Need]:
    return [
        Need("wait", "policy", f"{p.by} proposes another policy for {p.model}", f"/ui/loop/{p.model}#policy", "Decide")
        for p in needs.proposals
    ]


def _run_needs(needs: Needs) -> list[Need]:
    found = []
    for run in needs.failed:
        wrong = next((step.error.what for step in run.steps if step.error), "a step failed")
        found.append(Need("bad", "failed", f"{run.pipeline}: {wrong}", f"/ui/pipelines/{run.id}", "Look"))
    for run in needs.running:
        done = f"{sum(step.status.is_final for step in run.steps)} of {len(run.steps)} steps"
        found.append(Need("go", run.status.value, f"{run.pipeline}: {done}", f"/ui/pipelines/{run.id}", "Watch"))
    return found


def _data_needs(needs: Needs) -> list[Need]:
    # What the monitors found of the data is an alarm already, and says more.
    if any(alert.kind == "quality" for alert in needs.alerts):
        return []
    return [
        Need("warn", "set aside", f"{number(s.set_aside_rows)} of {s.source}'s rows broke their contract",
             f"/ui/data/{s.source}#aside", "Look")
        for s in needs.aside
    ]  # fmt: skip
