"""Say which versions answer at an endpoint, and look up who does."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.kernel import Conflict
from trimtab.registry import has_model
from trimtab.serving.errors import NoEndpoint, NotServable
from trimtab.serving.events import RoutingChanged
from trimtab.serving.records import Routing
from trimtab.serving.released import Releases
from trimtab.serving.tables import serving_routes
from trimtab.store import Change, RowForged, Store, check_reason, check_rows, known_keys


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is routed now, how often it was changed, and by whom last."""

    routing: Routing
    revision: int
    changed_at: datetime
    changed_by: str


RouteRow = tuple[object, ...]
"""An endpoint's row, whole: whatever is changed in it, also past Trimtab, makes another one."""


class Routed(NamedTuple):
    """Endpoints as they are routed, by name, and what is wrong with the rows of the others: nobody may go by those."""

    endpoints: dict[str, Endpoint]
    forged: dict[str, RowForged]
    rows: dict[str, RouteRow]


def set_routing(change: Change, routing: Routing, *, releases: Releases) -> Endpoint:
    """Let these versions answer at the endpoint from now on; gateways take it up within a second.

    Every version named must hold a release for this endpoint now, and one that does not stand there yet a release that
    has not expired: what answers can always give way to what stands beside it. An endpoint that has a model's name is
    for that model. Raises ``Invalid`` for a routing that
    makes no sense, ``Refused`` for a version without such a release, ``Conflict`` when someone else routes the same
    endpoint at this moment.
    """
    routing.check()
    was = _locked(change, routing.endpoint)
    _refuse_anothers_name(change, routing, was)
    standing = was.routing.versions if was is not None and was.routing.model == routing.model else ()
    held: dict[str, str] = {}
    for version, stage, percent in routing.places:
        released = releases.checked(routing.model, version)
        released.may_serve(stage, percent=percent, endpoint=routing.endpoint)
        if version not in standing:
            released.may_begin(change.at)
        held[released.ref] = released.release
    if was is not None and was.routing == routing:
        return was
    now = Endpoint(
        routing=routing, revision=was.revision + 1 if was else 1, changed_at=change.at, changed_by=change.actor.id
    )
    _write(change, was, now)
    change.record(
        RoutingChanged(
            endpoint=routing.endpoint,
            revision=now.revision,
            was=was.routing if was else None,
            now=routing,
            releases=held,
        )
    )
    return now


def remove_endpoint(change: Change, endpoint: str) -> None:
    """Stop answering at an endpoint; its decisions stay. Raises ``NotFound``, or ``ReasonMissing``."""
    check_reason(change.because, f"remove endpoint {endpoint[:100]}")
    was = _locked(change, endpoint)
    if was is None:
        raise NoEndpoint(f"there is no endpoint {endpoint[:100]!r}", where="serving")
    change.execute(delete(serving_routes).where(serving_routes.c.endpoint == endpoint))
    change.record(RoutingChanged(endpoint=endpoint, revision=was.revision + 1, was=was.routing, now=None, releases={}))


def get_endpoint(store: Store, endpoint: str) -> Endpoint:
    """Return an endpoint as it is routed now. Raises ``NotFound``."""
    with store.read() as connection:
        row = connection.execute(_ONE, {"of": endpoint}).mappings().first()
        if row is None:
            raise NoEndpoint(f"there is no endpoint {endpoint[:100]!r}", where="serving")
        return _endpoint(dict(row))


_ONE = select(serving_routes).where(serving_routes.c.endpoint == bindparam("of"))  # made once: everything asks this


def endpoint_names(store: Store) -> list[str]:
    """Return the names of all endpoints, also of those whose rows cannot be read."""
    with store.read() as connection:
        return list(connection.execute(select(serving_routes.c.endpoint).order_by(serving_routes.c.endpoint)).scalars())


def list_endpoints(store: Store) -> list[Endpoint]:
    """Return every endpoint, by name."""
    with store.read() as connection:
        rows = connection.execute(select(serving_routes).order_by(serving_routes.c.endpoint)).mappings()
        return [_endpoint(dict(row)) for row in rows]


def check_route(store: Store, endpoint: str) -> None:
    """Raise ``RowForged`` unless an endpoint's row, or that it has none, is what the ledger says."""
    with store.read() as connection:
        rows = connection.execute(select(serving_routes).where(serving_routes.c.endpoint == endpoint)).mappings().all()
        check_rows(connection, serving_routes, rows, all_of=(endpoint,))


def routed(store: Store, *, served: Iterable[str] = ()) -> Routed:
    """Return every endpoint, to be served as it is routed, and those whose row is not what the ledger says.

    ``served`` are endpoints that are served: one of them whose row was taken out past Trimtab is forged, too.
    """
    with store.read() as connection:
        rows = connection.execute(select(serving_routes).order_by(serving_routes.c.endpoint)).mappings().all()
        found = {row["endpoint"]: row for row in rows}
        forged: dict[str, RowForged] = {}
        try:
            check_rows(connection, serving_routes, rows, all_of=())
        except RowForged:
            known = {str(name) for (name,) in known_keys(connection, serving_routes)}
            for name in sorted({*found, *served, *known}):
                try:
                    check_rows(connection, serving_routes, [found[name]] if name in found else [], all_of=(name,))
                except RowForged as error:
                    forged[name] = error
        endpoints = {name: _endpoint(dict(row)) for name, row in found.items() if name not in forged}
        return Routed(endpoints, forged, {name: tuple(row.values()) for name, row in found.items()})


def route_rows(store: Store) -> dict[str, RouteRow]:
    """Return the row of each endpoint: what a gateway polls to see a change."""
    with store.read() as connection:
        return {row.endpoint: tuple(row) for row in connection.execute(select(serving_routes))}


def _refuse_anothers_name(change: Change, routing: Routing, was: Endpoint | None) -> None:
    """Keep a model from answering in another one's name; what stands there already, from before this rule, may stay."""
    mine = routing.endpoint == routing.model or (was is not None and was.routing.model == routing.model)
    if not mine and has_model(change.connection, routing.endpoint):
        raise NotServable(
            f"{routing.model} cannot answer at the endpoint {routing.endpoint}",
            where=f"endpoint {routing.endpoint}",
            why=f"Who approves what answers there is said by the policy of the model {routing.endpoint}.",
            next=f"route {routing.model} at an endpoint of its own: {routing.model}",
            version=f"{routing.model}@{routing.champion}",
        )


def _locked(change: Change, endpoint: str) -> Endpoint | None:
    """Return the endpoint's row, locked until the end of the change."""
    query = select(serving_routes).where(serving_routes.c.endpoint == endpoint).with_for_update()
    row = change.connection.execute(query).mappings().first()
    check_rows(change.connection, serving_routes, [] if row is None else [row], all_of=(endpoint,))
    return None if row is None else _endpoint(dict(row))


def _write(change: Change, was: Endpoint | None, now: Endpoint) -> None:
    values = {
        "model": now.routing.model, "revision": now.revision, "digest": now.routing.digest,
        "routing": msgspec.json.encode(now.routing).decode(), "changed_at": now.changed_at.isoformat(),
        "changed_by": now.changed_by,
    }  # fmt: skip
    if was is not None:
        change.execute(update(serving_routes).where(serving_routes.c.endpoint == now.routing.endpoint).values(**values))
        return
    try:
        change.execute(insert(serving_routes).values(endpoint=now.routing.endpoint, **values))
    except IntegrityError:
        raise Conflict(
            f"endpoint {now.routing.endpoint} was routed by someone else just now",
            where="serving",
            why="Both would believe that their routing is in force.",
            next=f"trimtab get endpoints {now.routing.endpoint}, then decide again",
        ) from None


def _endpoint(row: dict[str, object]) -> Endpoint:
    return Endpoint(
        routing=msgspec.json.decode(str(row["routing"]), type=Routing),
        revision=int(str(row["revision"])),
        changed_at=msgspec.convert(row["changed_at"], datetime),
        changed_by=str(row["changed_by"]),
    )
