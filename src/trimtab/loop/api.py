"""Routes of the loop: what is declared and in force, approvals that start a rollout, and places at endpoints."""

from typing import Literal

import msgspec

from trimtab.kernel import CURSOR, Call, Permission, Query, Route, limit_query
from trimtab.loop.cancel import cancel_turn
from trimtab.loop.declarations import applied, projects
from trimtab.loop.records import Declaration, Turn
from trimtab.loop.rollback import roll_back
from trimtab.loop.rollout import Approved, approve_version, serve_version
from trimtab.loop.turns import MOST, get_turn, list_turns
from trimtab.serving import Endpoint
from trimtab.store import Store

LIMIT = 50


class DeclarationList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Declaration]
    next: str | None = None


class ApproveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``because`` is needed here or in the header; ``override`` is the reason for approving against the gate."""

    because: str = ""
    override: str = ""


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The place that a version is given: all traffic, ``percent`` of it, or a shadow's."""

    stage: Literal["shadow", "canary", "full"] = "full"
    percent: float = 100.0
    because: str = ""


class TurnPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some turns of the loop, newest first, and where the next page begins (null: it was the last)."""

    items: list[Turn]
    next: str | None = None


class BecauseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``because`` is needed here or in the header."""

    because: str = ""


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""
    return [*_deciding(store), *_turning(store)]


def _turning(store: Store) -> list[Route]:
    def listed(call: Call) -> TurnPage:
        limit = call.limit(LIMIT, most=MOST)
        found = list_turns(store, call.query.get("model"), limit=limit, before_id=call.id_cursor())
        return TurnPage(items=found, next=found[-1].id if len(found) == limit else None)

    def one(call: Call) -> Turn:
        return get_turn(store, call.path["id"])

    def cancelled(call: Call, request: BecauseRequest) -> Turn:
        return cancel_turn(store, call.path["id"], actor=call.actor, because=request.because or call.because)

    def back(call: Call, request: BecauseRequest) -> Endpoint:
        return roll_back(store, call.path["endpoint"], actor=call.actor, because=request.because or call.because)

    return [
        Route(
            method="GET", path="/api/v1/turns", permission=Permission.READ, handler=listed, response=TurnPage,
            summary="List turns of the loop, newest first.",
            query=(Query(name="model", meaning="Only turns of this model."), limit_query(LIMIT, most=MOST), CURSOR),
        ),
        Route(
            method="GET", path="/api/v1/turns/{id}", permission=Permission.READ, handler=one, response=Turn,
            summary="Show one turn of the loop: its trigger, its moves and their evidence.",
        ),
        Route(
            method="POST", path="/api/v1/turns/{id}/cancel", permission=Permission.APPROVE, handler=cancelled,
            request=BecauseRequest, response=Turn,
            summary="Stop a turn whose version does not answer all traffic yet.",
        ),
        Route(
            method="POST", path="/api/v1/endpoints/{endpoint}/rollback", permission=Permission.APPROVE, handler=back,
            request=BecauseRequest, response=Endpoint,
            summary="Let the version before the present one answer again: model, features and thresholds in one move.",
        ),
    ]  # fmt: skip


def _deciding(store: Store) -> list[Route]:
    def declared(call: Call) -> DeclarationList:
        wanted = call.query.get("project")
        names = [name for name in projects(store) if wanted in (None, name)]
        return DeclarationList(items=[one for name in names for one in applied(store, name).values()])

    def release(call: Call, request: ApproveRequest) -> Approved:
        because = request.because or call.because
        ref = f"{call.path['model']}@{call.path['number']}"
        return approve_version(store, ref, actor=call.actor, because=because, override=request.override)

    def serve(call: Call, request: ServeRequest) -> Endpoint:
        ref = f"{call.path['model']}@{call.path['number']}"
        because = request.because or call.because
        return serve_version(
            store, ref, stage=request.stage, percent=request.percent, actor=call.actor, because=because
        )

    return [
        Route(
            method="GET", path="/api/v1/declarations", permission=Permission.READ, handler=declared,
            summary="What is declared and in force, by project.", response=DeclarationList,
            query=(Query(name="project", meaning="Only what this project declares."),),
        ),
        Route(
            method="POST", path="/api/v1/models/{model}/versions/{number}/rollout", permission=Permission.APPROVE,
            handler=release, request=ApproveRequest, response=Approved,
            summary="Approve a candidate, sign its release and start its rollout.",
        ),
        Route(
            method="POST", path="/api/v1/models/{model}/versions/{number}/serve", permission=Permission.APPROVE,
            handler=serve, request=ServeRequest, response=Endpoint,
            summary="Give an approved version its place at the endpoint: shadow, a share of the traffic, or all of it.",
        ),
    ]  # fmt: skip
