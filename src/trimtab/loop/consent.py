"""Say yes or no to a proposed policy: only with a yes does it come into force."""

from pathlib import Path

import msgspec
from sqlalchemy import select

from trimtab.declare import ProjectSpec
from trimtab.kernel import Actor, Conflict, Refused
from trimtab.loop.declarations import one_at_a_time, put_in_force, specs_in_force
from trimtab.loop.events import PolicyApproved, PolicyRejected
from trimtab.loop.governed import policy_of, under
from trimtab.loop.proposals import find_proposal, settle
from trimtab.loop.records import ModelPolicy, Proposal, ProposalState
from trimtab.loop.tables import proposals
from trimtab.store import Change, Store, check_reason, check_rows


class OwnPolicy(Refused):
    """The policy in force asks for two persons, and the one who would approve its change has proposed it."""

    code = "loop.own-policy"
    default_why = "The policy in force says tt.by(...).other_than_author(), also of its own change."
    default_next = "ask somebody else to decide: trimtab approve policy {model} --because '...'"


class ProposalOver(Conflict):
    """The proposal does not wait any more, or for something else than what is in force."""

    code = "loop.proposal-over"
    default_why = "A proposed policy is decided on once, against the policy that was in force when it was proposed."
    default_next = "trimtab plan, then trimtab apply, which proposes it again"


def approve_policy(store: Store, id: str, *, actor: Actor, because: str) -> Proposal:
    """Put a proposed policy in force, with the approval that the policy in force asks for; return the proposal.

    The id names what was proposed by its digest: applied again meanwhile, a file proposes under another id. Raises
    ``ProposalMissing``, ``ProposalOver``, ``ReasonMissing``, and ``OwnPolicy`` where two persons are asked for.
    """
    with store.change(actor, because) as change:
        proposal = _waiting(change, id)
        own = same_person(actor, proposal.by)
        if own and proposal.other_than_author:
            raise OwnPolicy(
                f"{actor.id} cannot approve the policy of {proposal.model}", where=f"model {proposal.model}",
                why=f"The policy in force says tt.by(...).other_than_author(), and {actor.id} proposed its change.",
                model=proposal.model,
            )  # fmt: skip
        _put(change, proposal)
        change.record(
            PolicyApproved(
                project=proposal.project, model=proposal.model, proposal=id, digest=proposal.policy.digest,
                replaced=proposal.replaces.digest, role=proposal.approve_by, reason=change.because, self_approved=own,
            )
        )  # fmt: skip
        return settle(change, proposal, ProposalState.APPROVED)


def reject_policy(store: Store, id: str, *, actor: Actor, because: str) -> Proposal:
    """Refuse a proposed policy, or take one's own back: what is in force stays.

    Raises ``ProposalMissing``, ``ProposalOver`` or ``ReasonMissing``.
    """
    with store.change(actor, because) as change:
        proposal = _waiting(change, id)
        change.record(
            PolicyRejected(
                project=proposal.project, model=proposal.model, proposal=id, digest=proposal.policy.digest,
                reason=change.because,
            )
        )  # fmt: skip
        return settle(change, proposal, ProposalState.REJECTED)


def same_person(one: Actor, other: Actor) -> bool:
    """Say whether two actors are one person: also when one of them acts by a token that the other one issued."""
    return one.is_same_person(other)


def _waiting(change: Change, id: str) -> Proposal:
    """Return a proposal that waits, and keep others from declaring or deciding until the end of the change."""
    check_reason(change.because, "policy")
    one_at_a_time(change)
    rows = change.connection.execute(select(proposals).where(proposals.c.id == id)).mappings()
    check_rows(change.connection, proposals, rows)
    proposal = find_proposal(change.connection, id)
    if proposal.state is not ProposalState.OPEN:
        raise ProposalOver(
            f"the proposed policy of {proposal.model} is {proposal.state.value}", where=f"proposal {proposal.id}"
        )
    return proposal


def _put(change: Change, proposal: Proposal) -> None:
    """Put the policy in the place of the one that it replaces, or take its model out of force."""
    before = specs_in_force(change.connection).get(proposal.project, ProjectSpec(name=proposal.project))
    present = next((policy_of(model) for model in before.models if model.name == proposal.model), None)
    if present is None or present.digest != proposal.replaces.digest:
        raise ProposalOver(
            f"the policy of {proposal.model} is no longer the one that this would replace",
            where=f"proposal {proposal.id}",
        )
    put_in_force(change, _changed(before, proposal.policy), file=Path(proposal.file))


def _changed(spec: ProjectSpec, policy: ModelPolicy) -> ProjectSpec:
    """Return a project with another policy for one of its models, or without that model."""
    others = tuple(model for model in spec.models if model.name != policy.model)
    changed = tuple(under(model, policy) for model in spec.models if model.name == policy.model)
    return msgspec.structs.replace(spec, models=others if policy.removed else (*others, *changed))
