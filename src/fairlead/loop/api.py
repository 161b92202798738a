"""Routes of the loop: what is declared and in force, approvals that start a rollout, and places at endpoints."""

from typing import Literal

import msgspec

from fairlead.kernel import Call, Permission, Query, Route
from fairlead.loop.declarations import applied, projects
from fairlead.loop.records import Declaration
from fairlead.loop.rollout import Approved, approve_version, serve_version
from fairlead.serving import Endpoint
from fairlead.store import Store


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


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""

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
