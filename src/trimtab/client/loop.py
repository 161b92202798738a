"""Turns, approvals and places at endpoints, asked of a server."""

from datetime import datetime

from trimtab.client.project import answers
from trimtab.kernel import Actor, Remote
from trimtab.loop import (
    Approved,
    Proposal,
    ProposalPage,
    ProposalState,
    StageName,
    Turn,
    TurnPage,
    approve_policy,
    approve_version,
    cancel_turn,
    get_turn,
    list_turns,
    open_proposal_of,
    open_turn_of,
    reject_policy,
    renew_version,
    roll_back,
    serve_version,
)
from trimtab.registry import Release, VersionRef
from trimtab.serving import Endpoint

PAGE = 500


@answers(get_turn)
def _turn(server: Remote, id: str) -> Turn:
    return server.get(Turn, "turns", id)


@answers(list_turns)
def _turns(
    server: Remote, model: str | None = None, *, limit: int | None = 50, before_id: str | None = None,
    since: datetime | None = None,
) -> list[Turn]:  # fmt: skip
    found, _ = server.listed(TurnPage, "turns", limit=limit, page=PAGE, cursor=before_id, model=model, since=since)
    return found


@answers(open_turn_of)
def _open_turn(server: Remote, model: str) -> Turn | None:
    return next((turn for turn in _turns(server, model, limit=1) if turn.state.is_open), None)


@answers(cancel_turn)
def _cancel(server: Remote, id: str, *, actor: Actor, because: str) -> Turn:
    return server.send("POST", Turn, "turns", id, "cancel", body={"because": because})


@answers(approve_version)
def _approve(server: Remote, ref: str, *, actor: Actor, because: str, override: str = "") -> Approved:
    found, body = VersionRef.of(ref), {"because": because, "override": override}
    number = found.version or found.alias
    return server.send("POST", Approved, "models", found.model, "versions", number, "rollout", body=body)


@answers(renew_version)
def _renew(server: Remote, ref: str, *, actor: Actor, because: str, override: str = "") -> Release:
    found, body = VersionRef.of(ref), {"because": because, "override": override}
    number = found.version or found.alias
    return server.send("POST", Release, "models", found.model, "versions", number, "renew", body=body)


@answers(open_proposal_of)
def _open_proposal(server: Remote, model: str) -> Proposal | None:
    found, _ = server.listed(ProposalPage, "proposals", limit=1, page=1, model=model)
    return next((one for one in found if one.state is ProposalState.OPEN), None)


@answers(approve_policy)
def _approve_policy(server: Remote, id: str, *, actor: Actor, because: str) -> Proposal:
    return server.send("POST", Proposal, "proposals", id, "approve", body={"because": because})


@answers(reject_policy)
def _reject_policy(server: Remote, id: str, *, actor: Actor, because: str) -> Proposal:
    return server.send("POST", Proposal, "proposals", id, "reject", body={"because": because})


@answers(roll_back)
def _roll_back(server: Remote, model: str, *, actor: Actor, because: str) -> Endpoint:
    return server.send("POST", Endpoint, "endpoints", model, "rollback", body={"because": because})


@answers(serve_version)
def _serve(
    server: Remote, ref: str, *, stage: StageName = "full", percent: float = 100.0, actor: Actor, because: str
) -> Endpoint:
    found, body = VersionRef.of(ref), {"stage": stage, "percent": percent, "because": because}
    number = found.version or found.alias
    return server.send("POST", Endpoint, "models", found.model, "versions", number, "serve", body=body)
