"""``/ui/loop``: the nine phases of a model, each with its state and age, and the turns of its loop below."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from trimtab.kernel import Body, Call, NotFound, Route
from trimtab.loop import (
    Proposal,
    Turn,
    TurnState,
    approver_text,
    get_turn,
    list_turns,
    open_proposal_of,
    policy_differences,
    stages_of,
)
from trimtab.monitoring import mature_until, performance
from trimtab.registry import CHAMPION, Model, Version, all_models, get_model, list_models, list_versions
from trimtab.serving import Routing, list_endpoints
from trimtab.store import Store
from trimtab.ui.declared import again_when, declared_model
from trimtab.ui.draw import Chart, Lane, Series, Stretch, Tracks, line_chart, time_tracks
from trimtab.ui.phases import HEADLINE, About, Phase, phases_of
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.stages import Step, steps_of, tone_of_turn

AT = "/ui/loop"
MODELS_A_PAGE = 25
TURNS_A_PAGE = 50
LANES_AT_MOST = 12
WEEKS_AT_MOST = 60
WEEK = timedelta(days=7)


class ModelLine(msgspec.Struct, frozen=True):
    model: Model
    phases: tuple[Phase, ...]
    turn: Turn | None


class Proposed(msgspec.Struct, frozen=True):
    """A policy that was proposed for a governed model: what it changes, and who is asked."""

    proposal: Proposal
    lines: tuple[str, ...]
    asks: str


class TurnLine(msgspec.Struct, frozen=True):
    """A turn as a row: how long it took, and what became of it."""

    turn: Turn
    tone: str
    seconds: float
    said: str


def routes(desk: Desk) -> list[Route]:
    """Return the pages of the loop."""
    store = desk.rooms.store

    def models(call: Call) -> Body:
        page = list_models(store, limit=MODELS_A_PAGE, cursor=call.query.get("cursor", ""))
        lines = []
        for model in page.items:
            found = list_turns(store, model.name, limit=TURNS_A_PAGE)
            lines.append(ModelLine(model, phases_of(_about(desk, model, found)), found[0] if found else None))
        return desk.pages.page(
            call, "loops.html", at=AT, lines=lines, next=page.next, count=sum(1 for _ in all_models(store)),
            query_values=dict(call.query),
        )  # fmt: skip

    def model(call: Call) -> Body:
        found, now = get_model(store, call.path["model"]), store.clock.now()
        known = list_turns(store, found.name, limit=TURNS_A_PAGE + 1, before_id=call.query.get("before") or None)
        shown = known[:TURNS_A_PAGE]
        chosen = _chosen(store, found.name, call.query.get("turn", ""), shown)
        about = _about(desk, found, shown)
        loss, weeks, labels = _loss(store, about)
        return desk.pages.page(
            call, "loop.html", at=AT, model=found, phases=phases_of(about), back=_back(about),
            lines=[_line(turn, now) for turn in shown], weeks_drawn=min(weeks, WEEKS_AT_MOST),
            chosen=chosen, waits=_waiting(about, chosen), proposed=_proposed(store, found.name),
            steps=steps_of_turn(store, chosen) if chosen else (), axis=_axis(shown, now),
            loss=loss, weeks=weeks, labels=labels, after=shown[-1].id if len(known) > TURNS_A_PAGE else "",
            query_values=dict(call.query),
        )  # fmt: skip

    return [
        shown_at(AT, models, about="The loop of every model"),
        shown_at(f"{AT}/{{model}}", model, about="The nine phases of a model, and the turns of its loop"),
    ]


def steps_of_turn(store: Store, turn: Turn) -> tuple[Step, ...]:
    """Return the steps of a turn under the rollout that is in force."""
    return steps_of(turn, stages_of(store, turn.model), now=store.clock.now())


def _about(desk: Desk, model: Model, found: Sequence[Turn]) -> About:
    store = desk.rooms.store
    routing = next((e.routing for e in list_endpoints(store) if e.routing.model == model.name), None)
    name = routing.endpoint if routing else ""
    newest = next(iter(list_versions(store, model.name, limit=1).items), None)
    return About(
        store=store, now=store.clock.now(), model=model, declared=declared_model(store, model.name), turns=found,
        newest=newest, routing=routing,
        status=next((status for status in desk.rooms.gateway.status() if status.endpoint == name), None),
    )  # fmt: skip


def _chosen(store: Store, model: str, id_: str, known: Sequence[Turn]) -> Turn | None:
    """Return the turn that was asked for, else the newest."""
    if not id_:
        return known[0] if known else None
    found = get_turn(store, id_)
    if found.model != model:
        raise NotFound(
            f"turn {id_[:40]} is not one of {model}", where="pages: loop", why=f"It is one of {found.model}.",
            next=f"look at {AT}/{found.model}?turn={id_[:40]}",
        )  # fmt: skip
    return found


def _back(about: About) -> str:
    """Say what leads from the end of the loop to its beginning."""
    return again_when(about.declared.retraining) if about.declared and about.declared.retraining else ""


def _waiting(about: About, turn: Turn | None) -> Version | None:
    """Return the version that a person has to decide about."""
    version = about.newest
    if turn is None or version is None or version.number != turn.version:
        return None
    return version if version.waits_for_approval(champion=about.model.aliases.get(CHAMPION, 0)) else None


def _proposed(store: Store, model: str) -> Proposed | None:
    """Return the policy that waits for a yes or a no."""
    found = open_proposal_of(store, model)
    if found is None:
        return None
    return Proposed(found, policy_differences(found.replaces, found.policy), approver_text(found.replaces.retraining))


def _line(turn: Turn, now: datetime) -> TurnLine:
    seconds = ((turn.ended_at or now) - turn.opened_at).total_seconds()
    return TurnLine(turn, tone_of_turn(turn.state), max(seconds, 0.0), turn.moves[-1].text if turn.moves else "")


def _axis(shown: Sequence[Turn], now: datetime) -> Tracks | None:
    """Draw turns on a time axis, a lane for each, a stretch for each state that it was in."""
    lanes, until = [], _replaced(shown)
    for turn in shown[:LANES_AT_MOST]:
        ends = [move.at for move in turn.moves[1:]] + [turn.ended_at or max(now, turn.since)]
        stretches = [
            Stretch(
                start=move.at, end=end, tone=_mark_of(move.state), href=f"{AT}/{turn.model}?turn={turn.id}",
                text=f"{move.state.value} from {move.at:%Y-%m-%d %H:%M}: {move.text}",
            )
            for move, end in zip(turn.moves, ends, strict=True)
        ]  # fmt: skip
        if turn.state is TurnState.KEPT and turn.ended_at is not None:
            end = max(until.get(turn.version, now), turn.ended_at)
            text = f"{turn.ref} answers until {end:%Y-%m-%d %H:%M}"
            stretches.append(Stretch(start=turn.ended_at, end=end, tone="kept", text=text))
        lanes.append(
            Lane(name=turn.ref or "none yet", said=turn.state.value, stretches=stretches,
                 href=f"{AT}/{turn.model}?turn={turn.id}")
        )  # fmt: skip
    return time_tracks(lanes)


def _replaced(shown: Sequence[Turn]) -> dict[int | None, datetime]:
    """Return when each version was replaced by another that answers all traffic and stayed."""
    return {
        turn.champion: move.at
        for turn in shown for move in turn.moves
        if move.state is TurnState.FULL and turn.champion is not None and turn.state is not TurnState.ROLLED_BACK
    }  # fmt: skip


def _mark_of(state: TurnState) -> str:
    """Return how a state looks on the time axis: a canary is half as high as what answers everything."""
    return "half" if state is TurnState.CANARY else tone_of_turn(state)


def _loss(store: Store, about: About) -> tuple[Chart | None, int, tuple[int, int]]:
    """Draw the main metric in service by week, since the first version answered.

    Return also how many weeks that would be, and the least and the most labels that a drawn week rests on.
    """
    routing: Routing | None = about.routing
    began = min((turn.opened_at for turn in about.turns), default=None)
    if routing is None or began is None:
        return None, 0, (0, 0)
    points: list[tuple[float, float]] = []
    low: list[float] = []
    high: list[float] = []
    labels: list[int] = []
    name = ""
    # Whole weeks back from the newest final outcomes; what the first days leave over is shown when it is most of one.
    until = mature_until(store, routing.endpoint, at=about.now)
    weeks = round((until - began) / WEEK)
    for end in (until - WEEK * back for back in reversed(range(min(weeks, WEEKS_AT_MOST)))):
        found = performance(store, routing.endpoint, version=None, since=end - WEEK, until=end)
        name = name or next((one for one in HEADLINE if one in found.metrics), "")
        value = found.metrics.get(name)
        if value is not None and value.value is not None:
            points.append((end.timestamp(), value.value))
            labels.append(value.n)
            low.append(value.low if value.low is not None else value.value)
            high.append(value.high if value.high is not None else value.value)
    if len(points) < 2:
        return None, weeks, (0, 0)
    series = Series(name=name.replace("_", " "), points=points, low=low, high=high)
    answered = [
        (move.at.timestamp(), f"{turn.ref} answers since {move.at:%d %b}")
        for turn in reversed(about.turns) for move in turn.moves
        if move.state is TurnState.FULL and turn.champion is not None
    ]  # fmt: skip
    chart = line_chart([series], x="time", x_name="week to", uprights=answered, tell_last=False)
    return chart, weeks, (min(labels), max(labels))
