"""Say which versions answer at an endpoint, and look up who does."""

from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.kernel import Conflict
from trimtab.serving.errors import NoEndpoint
from trimtab.serving.events import RoutingChanged
from trimtab.serving.records import Routing
from trimtab.serving.released import Releases
from trimtab.serving.tables import serving_routes
from trimtab.store import Change, Store


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is routed now, how often it was changed, and by whom last."""

    routing: Routing
    revision: int
    changed_at: datetime
    changed_by: str


def set_routing(change: Change, routing: Routing, *, releases: Releases) -> Endpoint:
    """Let these versions answer at the endpoint from now on; gateways take it up within a second.

    Every version named must hold a release now. Raises ``Invalid`` for a routing that makes no sense, ``Refused`` for
    a version without a release, ``Conflict`` when someone else routes the same endpoint at this moment.
    """
    routing.check()
    held: dict[str, str] = {}
    for version, stage, percent in routing.places:
        released = releases.checked(routing.model, version)
        released.may_serve(stage, percent=percent)
        held[released.ref] = released.release
    was = _locked(change, routing.endpoint)
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
    """Stop answering at an endpoint; its decisions stay. Raises ``NotFound``."""
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


def list_endpoints(store: Store) -> list[Endpoint]:
    """Return every endpoint, by name."""
    with store.read() as connection:
        rows = connection.execute(select(serving_routes).order_by(serving_routes.c.endpoint)).mappings()
        return [_endpoint(dict(row)) for row in rows]


def revisions(store: Store) -> dict[str, tuple[int, str]]:
    """Return the revision and digest of each endpoint's routing: what a gateway polls to see a change."""
    table = serving_routes.c
    with store.read() as connection:
        found = connection.execute(select(table.endpoint, table.revision, table.digest))
        return {row.endpoint: (row.revision, row.digest) for row in found}


def _locked(change: Change, endpoint: str) -> Endpoint | None:
    """Return the endpoint's row, locked until the end of the change."""
    query = select(serving_routes).where(serving_routes.c.endpoint == endpoint).with_for_update()
    row = change.connection.execute(query).mappings().first()
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
        changed_at=datetime.fromisoformat(str(row["changed_at"])),
        changed_by=str(row["changed_by"]),
    )
