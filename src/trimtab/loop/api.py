"""Routes of the loop: what is declared and in force, approvals that start a rollout, and places at endpoints."""

from typing import Literal

import msgspec

from trimtab.kernel import (
    CURSOR,
    PROJECT,
    Call,
    Permission,
    Query,
    Route,
    in_path,
    in_query,
    limit_query,
    parse_time,
    time_query,
)
from trimtab.loop.cancel import cancel_turn
from trimtab.loop.consent import approve_policy, reject_policy
from trimtab.loop.declarations import applied, projects
from trimtab.loop.proposals import get_proposal, list_proposals
from trimtab.loop.records import Declaration, Proposal, Turn
from trimtab.loop.rollback import roll_back
from trimtab.loop.rollout import Approved, approve_version, renew_version, serve_version
from trimtab.loop.turns import MOST, TurnPage, get_turn, list_turns
from trimtab.registry import Release
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


class ProposalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some proposed policies, newest first, and where the next page begins (null: it was the last)."""

    items: list[Proposal]
    next: str | None = None


class BecauseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``because`` is needed here or in the header."""

    because: str = ""


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""
    return [*_deciding(store), *_governing(store), *_turning(store)]


def _governing(store: Store) -> list[Route]:
    def listed(call: Call) -> ProposalPage:
        limit = call.limit(LIMIT, most=MOST)
        found = list_proposals(store, call.query.get("model"), limit=limit, before_id=call.id_cursor())
        return ProposalPage(items=found, next=found[-1].id if len(found) == limit else None)

    def one(call: Call) -> Proposal:
        return get_proposal(store, call.path["id"])

    def approved(call: Call, request: BecauseRequest) -> Proposal:
        return approve_policy(store, call.path["id"], actor=call.actor, because=request.because or call.because)

    def rejected(call: Call, request: BecauseRequest) -> Proposal:
        return reject_policy(store, call.path["id"], actor=call.actor, because=request.because or call.because)

    at, of_one = "/api/v1/proposals", in_path("id", lambda id_: get_proposal(store, id_).model)
    return [
        Route(
            method="GET", path=at, permission=Permission.READ, resource=PROJECT, handler=listed,
            response=ProposalPage,
            summary="List the policies that were proposed for governed models, newest first.",
            query=(Query(name="model", meaning="Only of this model."), limit_query(LIMIT, most=MOST), CURSOR),
        ),
        Route(
            method="GET", path=f"{at}/{{id}}", permission=Permission.READ, resource=of_one, handler=one,
            response=Proposal,
            summary="Show a proposed policy: what it would replace, who proposed it, and what became of it.",
        ),
        Route(
            method="POST", path=f"{at}/{{id}}/approve", permission=Permission.APPROVE, resource=of_one,
            handler=approved,
            request=BecauseRequest, response=Proposal,
            summary="Put a proposed policy in force, as somebody whom the policy in force asks.",
        ),
        Route(
            method="POST", path=f"{at}/{{id}}/reject", permission=Permission.APPROVE, resource=of_one, handler=rejected,
            request=BecauseRequest, response=Proposal,
            summary="Refuse a proposed policy: what is in force stays.",
        ),
    ]  # fmt: skip


def _turning(store: Store) -> list[Route]:
    of_turn = in_path("id", lambda turn: get_turn(store, turn).model)

    def listed(call: Call) -> TurnPage:
        limit = call.limit(LIMIT, most=MOST)
        since = parse_time(call.query["since"], where="query since") if "since" in call.query else None
        found = list_turns(store, call.query.get("model"), limit=limit, before_id=call.id_cursor(), since=since)
        return TurnPage(items=found, next=found[-1].id if len(found) == limit else None)

    def one(call: Call) -> Turn:
        return get_turn(store, call.path["id"])

    def cancelled(call: Call, request: BecauseRequest) -> Turn:
        return cancel_turn(store, call.path["id"], actor=call.actor, because=request.because or call.because)

    def back(call: Call, request: BecauseRequest) -> Endpoint:
        return roll_back(store, call.path["endpoint"], actor=call.actor, because=request.because or call.because)

    return [
        Route(
            method="GET", path="/api/v1/turns", permission=Permission.READ, resource=in_query("model"),
            handler=listed, response=TurnPage,
            summary="List turns of the loop, newest first.",
            query=(
                Query(name="model", meaning="Only turns of this model."),
                time_query("since", "Begun at this time or later."), limit_query(LIMIT, most=MOST), CURSOR,
            ),
        ),
        Route(
            method="GET", path="/api/v1/turns/{id}", permission=Permission.READ, resource=of_turn,
            handler=one, response=Turn,
            summary="Show one turn of the loop: its trigger, its moves and their evidence.",
        ),
        Route(
            method="POST", path="/api/v1/turns/{id}/cancel", permission=Permission.APPROVE, resource=of_turn,
            handler=cancelled,
            request=BecauseRequest, response=Turn,
            summary="Stop a turn whose version does not answer all traffic yet.",
        ),
        Route(
            method="POST", path="/api/v1/endpoints/{endpoint}/rollback", permission=Permission.APPROVE,
            resource=in_path("endpoint"), handler=back,
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

    def renew(call: Call, request: ApproveRequest) -> Release:
        ref, because = f"{call.path['model']}@{call.path['number']}", request.because or call.because
        return renew_version(store, ref, actor=call.actor, because=because, override=request.override)

    def serve(call: Call, request: ServeRequest) -> Endpoint:
        ref = f"{call.path['model']}@{call.path['number']}"
        because = request.because or call.because
        return serve_version(
            store, ref, stage=request.stage, percent=request.percent, actor=call.actor, because=because
        )

    return [
        Route(
            method="GET", path="/api/v1/declarations", permission=Permission.READ, resource=PROJECT, handler=declared,
            summary="What is declared and in force, by project.", response=DeclarationList,
            query=(Query(name="project", meaning="Only what this project declares."),),
        ),
        Route(
            method="POST", path="/api/v1/models/{model}/versions/{number}/rollout", permission=Permission.APPROVE,
            resource=in_path("model"),
            handler=release, request=ApproveRequest, response=Approved,
            summary="Approve a candidate, sign its release and start its rollout.",
        ),
        Route(
            method="POST", path="/api/v1/models/{model}/versions/{number}/renew", permission=Permission.APPROVE,
            resource=in_path("model"), handler=renew, request=ApproveRequest, response=Release,
            summary="Approve a version again that is approved for a time, and sign its new release.",
        ),
        Route(
            method="POST", path="/api/v1/models/{model}/versions/{number}/serve", permission=Permission.APPROVE,
            resource=in_path("model"),
            handler=serve, request=ServeRequest, response=Endpoint,
            summary="Give an approved version its place at the endpoint: shadow, a share of the traffic, or all of it.",
        ),
    ]  # fmt: skip
