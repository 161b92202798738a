"""``/ui/endpoints``: who answers how much of the traffic, how fast, and which decisions came of it."""

import msgspec

from fairlead.kernel import Body, Call, Route
from fairlead.registry import list_versions
from fairlead.serving import Decision, Endpoint, EndpointStatus, Routing, decisions, get_endpoint, list_endpoints
from fairlead.store import events
from fairlead.ui.draw import Series, Share, Strip, histogram_pair, line_chart, shares_of, time_strip
from fairlead.ui.screen import Desk, shown_at

AT = "/ui/endpoints"
LOOKED_AT = 500


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
        return desk.pages.page(call, "endpoints.html", at=AT, lines=[line(e) for e in list_endpoints(store)])

    def endpoint(call: Call) -> Body:
        found = get_endpoint(store, call.path["endpoint"])
        routing = found.routing
        recent = decisions(store, routing.endpoint, limit=LOOKED_AT)
        approved = [v for v in list_versions(store, routing.model).items if v.status.value == "approved"]
        return desk.pages.page(
            call, "endpoint.html", at=AT, line=line(found), routing=routing, endpoint=found,
            decisions=recent[:20], strip=_strip(recent), latency=_latency(recent), outputs=_outputs(recent),
            changes=events(
                store, type="serving.routing-changed", subject=("endpoint", routing.endpoint), limit=20, order="newest"
            ),
            back_to=next((v for v in approved if v.number < routing.champion), None), looked_at=len(recent),
        )  # fmt: skip

    return [
        shown_at(AT, endpoints, about="Endpoints"),
        shown_at(f"{AT}/{{endpoint}}", endpoint, about="One endpoint: traffic, latency, decisions"),
    ]


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
    """Draw how long the last decisions took, in milliseconds, in the order in which they were answered."""
    points = [(float(i), d.latency_us / 1000) for i, d in enumerate(reversed(recent)) if d.stage != "shadow"]
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
