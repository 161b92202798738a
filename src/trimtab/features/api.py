"""Routes of the features room: registered views, and one row of features at a time."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from trimtab.features.compile import compile_view
from trimtab.features.online import OnlineStore
from trimtab.features.records import CompiledView, RegisteredView, Scalar
from trimtab.features.register import get_view, list_views
from trimtab.kernel import CURSOR, PROJECT, Call, Invalid, Permission, Query, Route, limit_query
from trimtab.store import Store

_PAGE = 100
_VERSION = Annotated[int, msgspec.Meta(ge=1, le=999_999_999)]


class ViewColumn(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str


class ViewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A registered view: what it means by its digest, whose it is, and how fresh its online values are."""

    name: str
    version: int
    digest: str
    of: str
    decided: str
    decided_offset_s: float
    columns: list[ViewColumn]
    request_fields: list[str]
    owner: str
    description: str
    registered_at: datetime
    registered_by: str
    materialised_at: datetime | None


class ViewList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ViewAnswer]
    next: str | None = None


class OnlineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which row: by ``keys`` of the view's own contract, or by its ``fields`` as a request would bring them."""

    keys: dict[str, Any] | None = None
    fields: dict[str, Any] | None = None
    at: datetime | None = None


class OnlineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The features of one row by name, the age of each in seconds, and the moment for which they hold."""

    view: str
    version: int
    digest: str
    at: datetime
    features: dict[str, Scalar]
    ages_s: dict[str, float | None]
    request: dict[str, Any]
    materialised_at: datetime


def routes(store: Store, online: OnlineStore) -> list[Route]:
    """Return the room's routes over a store and its online store."""

    def list_(call: Call) -> ViewList:
        limit = _limit(call.query.get("limit", str(_PAGE)))
        found = list_views(store, after=call.query.get("cursor", ""), limit=limit + 1)
        following = found[limit - 1].name if len(found) > limit else None
        return ViewList(items=[_answer(view) for view in found[:limit]], next=following)

    def get(call: Call) -> ViewAnswer:
        version = call.query.get("version")
        number = None if version is None else _number(version, "version")
        return _answer(get_view(store, call.path["name"], version=number))

    def registered(call: Call) -> RegisteredView:
        version = call.query.get("version")
        return get_view(store, call.path["name"], version=None if version is None else _number(version, "version"))

    def read(call: Call, request: OnlineRequest) -> OnlineAnswer:
        view = get_view(store, call.path["name"])
        compiled = compile_view(view.spec)
        latest = None if request.at else store.clock.now()  # as a decision now would read it
        return _read(online, view, compiled, request, latest)

    return [
        Route(
            method="GET", path="/api/v1/features", permission=Permission.READ, resource=PROJECT,
            handler=list_, response=ViewList,
            query=(limit_query(_PAGE, most=1000), CURSOR), summary="List the newest version of each feature view",
        ),
        Route(
            method="GET", path="/api/v1/features/{name}", permission=Permission.READ, resource=PROJECT,
            handler=get, response=ViewAnswer,
            query=(Query(name="version", meaning="Which version; without it the newest.", kind=_VERSION),),
            summary="Show a feature view",
        ),
        Route(
            method="GET", path="/api/v1/features/{name}/registered", permission=Permission.READ, resource=PROJECT,
            handler=registered, response=RegisteredView,
            query=(Query(name="version", meaning="Which version; without it the newest.", kind=_VERSION),),
            summary="Show a feature view with its whole definition",
        ),
        Route(
            method="POST", path="/api/v1/features/{name}/online", permission=Permission.PREDICT, resource=PROJECT,
            handler=read,
            request=OnlineRequest, response=OnlineAnswer,
            summary="Read one row of features from the online store, by key or by its fields",
        ),
    ]  # fmt: skip


def _read(
    online: OnlineStore, view: RegisteredView, compiled: CompiledView, request: OnlineRequest, latest: datetime | None
) -> OnlineAnswer:
    if (request.keys is None) == (request.fields is None):
        raise Invalid(
            "a row is named by its keys or described by its fields",
            where=f"features {view.name}",
            why="With both or neither it is not clear which row is meant.",
            next='send {"keys": {...}} or {"fields": {...}}',
        )
    if request.keys is not None:
        row = online.read(compiled, request.keys, request.at, latest=latest)
    else:
        row = online.row(compiled, request.fields or {}, request.at, latest=latest)
    return OnlineAnswer(
        view=view.name,
        version=view.version,
        digest=view.digest,
        at=row.at,
        features=row.as_dict(),
        ages_s=dict(zip(row.names, row.ages_s, strict=True)),
        request=row.request,
        materialised_at=row.materialised_at,
    )


def _answer(view: RegisteredView) -> ViewAnswer:
    compiled = compile_view(view.spec)
    return ViewAnswer(
        name=view.name,
        version=view.version,
        digest=view.digest,
        of=view.of,
        decided=view.spec.decided,
        decided_offset_s=view.spec.decided_offset_s,
        columns=[ViewColumn(name=column.name, kind=column.kind) for column in compiled.columns],
        request_fields=list(compiled.request_fields),
        owner=view.owner,
        description=view.description,
        registered_at=view.registered_at,
        registered_by=view.registered_by,
        materialised_at=view.materialised_at,
    )


def _limit(text: str) -> int:
    limit = _number(text, "limit")
    if not 1 <= limit <= 1000:
        raise Invalid(
            f"limit is {limit}", where="query limit", why="A page has 1 to 1000 items.", next="send limit=100"
        )
    return limit


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(
            f"{text[:40]!r} is not a number", where=f"query {name}", why="It counts things.", next=f"send {name}=1"
        )
    return int(text)
