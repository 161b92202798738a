"""Routes of serving: endpoints and who answers there, and the decisions that were given."""

from datetime import datetime

import msgspec

from trimtab.kernel import CURSOR, EACH, Call, Permission, Route, in_body, in_path, limit_query, parse_time, time_query
from trimtab.serving.decisions import Segment, decisions, find_decision, sealed_segments
from trimtab.serving.gateway import EndpointStatus, Gateway
from trimtab.serving.records import BrokenRows, Canary, Decision, Routing
from trimtab.serving.released import Releases
from trimtab.serving.routing import Endpoint, get_endpoint, list_endpoints, remove_endpoint, set_routing
from trimtab.store import Store

LIMIT = 100
MOST_ITEMS = 500
ENDPOINT = "/api/v1/endpoints/{endpoint}"
OF_ENDPOINT = in_path("endpoint")
_BETWEEN = (
    time_query("since", "Decided at this time or later."),
    time_query("until", "Decided before this time."),
)


class EndpointAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is routed, and how this process serves it (null: it does not, yet)."""

    endpoint: Endpoint
    status: EndpointStatus | None = None


class EndpointPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[EndpointAnswer]
    next: str | None = None


class RouteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers from now on. ``model`` is by default the endpoint's name."""

    champion: int
    model: str = ""
    canary: tuple[Canary, ...] = ()
    shadow: tuple[int, ...] = ()
    sticky_by: str | None = None
    paired: bool = False
    broken_rows: BrokenRows | msgspec.UnsetType = msgspec.UNSET
    because: str = ""


class RemoveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    because: str = ""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint that does not answer any more; its decisions stay."""

    endpoint: str


class DecisionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some decisions, newest first, and where the next page begins (null: it was the last)."""

    items: list[Decision]
    next: str | None = None


class SegmentPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Segment]
    next: str | None = None


def routes(store: Store, gateway: Gateway, releases: Releases) -> list[Route]:
    """Return the room's routes over a store, the gateway of this process, and the gate."""
    return [*_reading(store, gateway), *_deciding(store, gateway, releases)]


def _reading(store: Store, gateway: Gateway) -> list[Route]:
    def endpoints(call: Call) -> EndpointPage:
        status = {one.endpoint: one for one in gateway.status()}
        return EndpointPage(
            items=[
                EndpointAnswer(endpoint=one, status=status.get(one.routing.endpoint))
                for one in list_endpoints(store)
                if call.shows(one.routing.endpoint)
            ]
        )

    def endpoint(call: Call) -> EndpointAnswer:
        return _answer(store, gateway, call.path["endpoint"])

    def logged(call: Call) -> DecisionPage:
        limit = call.limit(LIMIT, most=MOST_ITEMS)
        found = decisions(
            store, call.path["endpoint"], since=_time(call, "since"), until=_time(call, "until"), limit=limit,
            before_id=call.id_cursor(),
        )  # fmt: skip
        return DecisionPage(items=found, next=found[-1].id if len(found) == limit else None)

    def endpoint_of(decided: str) -> str:
        return find_decision(store, decided).endpoint

    def decision(call: Call) -> Decision:
        return find_decision(store, call.path["id"])

    def segments(call: Call) -> SegmentPage:
        found = sealed_segments(store, call.path["endpoint"], since=_time(call, "since"), until=_time(call, "until"))
        return SegmentPage(items=found)

    read = Permission.READ
    return [
        Route(
            method="GET", path="/api/v1/endpoints", permission=read, resource=EACH,
            handler=endpoints, response=EndpointPage,
            summary="List endpoints: who answers, and how this server is doing",
        ),
        Route(
            method="GET", path=ENDPOINT, permission=read, resource=OF_ENDPOINT,
            handler=endpoint, response=EndpointAnswer,
            summary="Show an endpoint: who answers, in which shares, and with which latencies and errors",
        ),
        Route(
            method="GET", path=f"{ENDPOINT}/decisions", permission=read, resource=OF_ENDPOINT,
            handler=logged, response=DecisionPage,
            query=(*_BETWEEN, limit_query(LIMIT, most=MOST_ITEMS), CURSOR),
            summary="List an endpoint's decisions, newest first",
        ),
        Route(
            method="GET", path=f"{ENDPOINT}/segments", permission=read, resource=OF_ENDPOINT,
            handler=segments, response=SegmentPage,
            query=_BETWEEN, summary="List the sealed segments of an endpoint's decision log",
        ),
        Route(
            method="GET", path="/api/v1/decisions/{id}", permission=read, resource=in_path("id", endpoint_of),
            handler=decision, response=Decision,
            summary="Show one decision: features with their ages, version, reason and result",
        ),
    ]  # fmt: skip


def _deciding(store: Store, gateway: Gateway, releases: Releases) -> list[Route]:
    def change_routing(call: Call, request: RouteRequest) -> EndpointAnswer:
        name = call.path["endpoint"]
        routing = Routing(
            endpoint=name, model=request.model or name, champion=request.champion, canary=request.canary,
            shadow=request.shadow, sticky_by=request.sticky_by, paired=request.paired, broken_rows=request.broken_rows,
        )  # fmt: skip
        routing.check()
        gateway.check_servable(routing)
        with store.change(call.actor, request.because or call.because) as change:
            set_routing(change, routing, releases=releases)
        return _answer(store, gateway, name)

    def remove(call: Call, request: RemoveRequest) -> Removed:
        with store.change(call.actor, request.because or call.because) as change:
            remove_endpoint(change, call.path["endpoint"])
        return Removed(endpoint=call.path["endpoint"])

    return [
        Route(
            method="PUT", path=f"{ENDPOINT}/routing", permission=Permission.APPROVE,
            resource=OF_ENDPOINT & in_body("model"), handler=change_routing,
            request=RouteRequest, response=EndpointAnswer,
            summary="Say who answers at an endpoint: champion, canaries and shadows, each with a valid release",
        ),
        Route(
            method="DELETE", path=ENDPOINT, permission=Permission.APPROVE, resource=OF_ENDPOINT,
            handler=remove, request=RemoveRequest,
            response=Removed, summary="Stop answering at an endpoint; its decisions stay",
        ),
    ]  # fmt: skip


def _answer(store: Store, gateway: Gateway, name: str) -> EndpointAnswer:
    found = get_endpoint(store, name)
    status = next((one for one in gateway.status() if one.endpoint == name), None)
    return EndpointAnswer(endpoint=found, status=status)


def _time(call: Call, name: str) -> datetime | None:
    text = call.query.get(name)
    return None if text is None else parse_time(text, where=f"query {name}")
