"""``/ui/endpoints``: who answers how much of the traffic, how fast, and which decisions came of it."""

import msgspec

from trimtab.declare import describe
from trimtab.kernel import EACH, Body, Call, Route
from trimtab.loop import Turn, TurnState, each_turn, open_turn_of, power_text, stages_of
from trimtab.monitoring import Paired, paired
from trimtab.serving import Decision, Endpoint, EndpointStatus, Routing, decisions, get_endpoint, list_endpoints
from trimtab.store import Recorded, Store, events
from trimtab.ui.declared import declared_model
from trimtab.ui.draw import (
    Series,
    Share,
    Strip,
    Whisker,
    histogram_pair,
    line_chart,
    shares_of,
    time_strip,
    whisker_of,
)
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.stages import steps_of

AT = "/ui/endpoints"
LOOKED_AT = 500
DECISIONS_SHOWN = 12
CHANGES_SHOWN = 8


class Pair(msgspec.Struct, frozen=True):
    """Challenger against champion on the same rows, and their difference around zero: less loss is right."""

    found: Paired
    whisker: Whisker | None


class EndpointLine(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    shares: tuple[Share, ...]
    status: EndpointStatus | None


def routes(desk: Desk) -> list[Route]:
    """Return the pages of serving."""
    store = desk.rooms.store

    def line(endpoint: Endpoint) -> EndpointLine:
        known = {status.endpoint: status for status in desk.rooms.gateway.status()}
        return EndpointLine(endpoint, traffic_of(endpoint.routing), known.get(endpoint.routing.endpoint))

    def endpoints(call: Call) -> Body:
        shown = [line(one) for one in list_endpoints(store) if call.shows(one.routing.endpoint)]
        return desk.pages.page(call, "endpoints.html", at=AT, lines=shown)

    def endpoint(call: Call) -> Body:
        found = get_endpoint(store, call.path["endpoint"])
        routing = found.routing
        recent = decisions(store, routing.endpoint, limit=LOOKED_AT)
        turn = open_turn_of(store, routing.model)
        rolling = turn if turn is not None and turn.state.rolls_out else None
        return desk.pages.page(
            call, "endpoint.html", at=AT, line=line(found), routing=routing, endpoint=found,
            decisions=recent[:DECISIONS_SHOWN], strip=_strip(recent), latency=_latency(recent),
            untimed=sum(decision.took_s is None for decision in recent),
            outputs=_outputs(recent), changes=_changes(store, routing.endpoint),
            back_to=_before(store, routing, rolling), looked_at=len(recent), turn=turn,
            steps=steps_of(rolling, stages_of(store, routing.model), now=store.clock.now()) if rolling else (),
            rule=_rule(store, routing.model), pair=_pair(store, routing, rolling),
            power=_power(store, routing.model) if rolling else "",
        )  # fmt: skip

    return [
        shown_at(AT, endpoints, about="Endpoints", resource=EACH),
        shown_at(f"{AT}/{{endpoint}}", endpoint, about="One endpoint: traffic, latency, decisions"),
    ]


def _changes(store: Store, endpoint: str) -> list[Recorded]:
    subject = ("endpoint", endpoint)
    return events(store, type="serving.routing-changed", subject=subject, limit=CHANGES_SHOWN, order="newest")


def _before(store: Store, routing: Routing, rolling: Turn | None) -> str:
    """Return the version that rolling back brings: the champion of the rollout, or what the present one replaced."""
    if rolling is not None and rolling.champion is not None:
        return f"{routing.model}@{rolling.champion}"
    for turn in each_turn(store, routing.model):
        served = turn.version == routing.champion and turn.state is not TurnState.ROLLED_BACK
        if served and turn.champion is not None:
            return f"{routing.model}@{turn.champion}"
    return ""


def _rule(store: Store, model: str) -> str:
    """Say when a rollout comes back by itself."""
    declared = declared_model(store, model)
    rule = declared.serving.roll_back_if if declared and declared.serving else None
    return describe(rule) if rule is not None else ""


def _power(store: Store, model: str) -> str:
    """Say how much worse a challenger must be for that rule to find it within the rollout."""
    declared = declared_model(store, model)
    return power_text(store, model, declared.serving) if declared and declared.serving else ""


def _pair(store: Store, routing: Routing, rolling: Turn | None) -> Pair | None:
    """Compare both versions of a rollout on the rows that both have seen since it began."""
    if rolling is None or rolling.champion is None or rolling.version is None:
        return None
    began = next(move.at for move in rolling.moves if move.state.rolls_out)
    found = paired(
        store, routing.endpoint, challenger=rolling.version, champion=rolling.champion, since=began,
        until=store.clock.now(),
    )  # fmt: skip
    value = found.difference
    if value.value is None:
        return Pair(found, None)
    most = max(abs(v) for v in (value.value, value.low, value.high) if v is not None) * 1.1 or 1.0
    return Pair(found, whisker_of(value.value, value.low, value.high, scale=(most, -most), mark=0.0))


def traffic_of(routing: Routing) -> tuple[Share, ...]:
    """Return the parts of an endpoint's traffic; shadows answer nothing and have no part."""
    left = 100.0 - sum(canary.percent for canary in routing.canary)
    parts = [(f"{routing.model}@{routing.champion} champion", left)]
    parts += [(f"{routing.model}@{canary.version} canary", canary.percent) for canary in routing.canary]
    return shares_of(parts)


def _strip(recent: list[Decision]) -> Strip | None:
    if not recent:
        return None
    start, end = recent[-1].at, recent[0].at
    return (
        time_strip([d.at for d in recent], bad=[], start=start, end=end, slices=48, noun="decisions")
        if start < end
        else None
    )


def _latency(recent: list[Decision]) -> object:
    """Draw how long the last decisions took, in milliseconds and in their order, where that was measured."""
    points = [(float(i), d.took_s * 1000) for i, d in enumerate(reversed(recent)) if d.stage != "shadow" and d.took_s]
    if len(points) < 2:
        return None
    return line_chart([Series(name="ms", points=points)], x_name="decision", include=(0.0,))


def _outputs(recent: list[Decision]) -> object:
    """Draw the distribution of the number that was answered: a probability, or the prediction itself."""
    values = []
    for decision in recent:
        found = decision.result.get("probability", decision.result.get("prediction"))
        found = found[-1] if isinstance(found, list) and found else found
        if isinstance(found, float | int):
            values.append(float(found))
    if len(values) < 5:
        return None
    low, high = min(values), max(values)
    if high == low:
        return None
    edges = [low + (high - low) * i / 20 for i in range(21)]
    counts = [0] * 20
    for value in values:
        counts[min(int((value - low) / (high - low) * 20), 19)] += 1
    return histogram_pair(edges, counts, name="answers")
