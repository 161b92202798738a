"""Keep the policies that are proposed for governed models, and look them up. A model has one open proposal at most."""

import msgspec
from sqlalchemy import Connection, insert, select, update

from trimtab.kernel import NotFound
from trimtab.loop.events import PolicyProposed, PolicyWithdrawn
from trimtab.loop.governed import Held
from trimtab.loop.records import ModelPolicy, Proposal, ProposalState
from trimtab.loop.tables import proposals as table
from trimtab.loop.wording import differences
from trimtab.store import Change, RowsDamaged, Store

MOST = 500


class ProposalMissing(NotFound):
    """There is no such proposal, or none that waits."""

    code = "loop.proposal-missing"
    default_why = "A policy is proposed by applying a file that changes the one of a governed model."
    default_next = "trimtab plan says whether a policy would change; then trimtab apply"


def get_proposal(store: Store, id: str) -> Proposal:
    """Return a proposed policy by its id. Raises ``ProposalMissing``."""
    with store.read() as connection:
        return find_proposal(connection, id)


def open_proposal_of(store: Store, model: str) -> Proposal | None:
    """Return the proposed policy of a model that waits for a yes or a no, if there is one."""
    with store.read() as connection:
        return waiting_for(connection, model)


def list_proposals(
    store: Store, model: str | None = None, *, limit: int = 50, before_id: str | None = None
) -> list[Proposal]:
    """Return proposed policies, newest first, decided or not; ``before_id`` goes on from an earlier call's last."""
    query = select(table.c.state, table.c.proposal).order_by(table.c.id.desc()).limit(limit)
    if model is not None:
        query = query.where(table.c.model == model)
    if before_id is not None:
        query = query.where(table.c.id < before_id)
    with store.read() as connection:
        return [_proposal(row.state, row.proposal) for row in connection.execute(query)]


def open_proposals(store: Store) -> list[Proposal]:
    """Return every proposed policy that waits for somebody, newest first."""
    query = select(table.c.state, table.c.proposal).where(table.c.open_of.is_not(None)).order_by(table.c.id.desc())
    with store.read() as connection:
        return [_proposal(row.state, row.proposal) for row in connection.execute(query)]


def find_proposal(connection: Connection, id: str) -> Proposal:
    """Return a proposed policy by its id, within a change. Raises ``ProposalMissing``."""
    row = connection.execute(select(table).where(table.c.id == id)).first()
    if row is None:
        raise ProposalMissing(f"there is no proposed policy {id[:40]!r}", where="loop")
    found = _proposal(row.state, row.proposal)
    if (found.id, found.policy.digest) != (row.id, row.digest):
        raise RowsDamaged(f"the record of proposal {id} is not the one that was proposed", where="loop")
    return found


def waiting_for(connection: Connection, model: str) -> Proposal | None:
    """Return the proposed policy of a model that waits, within a change."""
    row = connection.execute(select(table.c.state, table.c.proposal).where(table.c.open_of == model)).first()
    return None if row is None else _proposal(row.state, row.proposal)


def propose_changes(change: Change, held: Held, *, file: str) -> int:
    """Propose what a file changes in the policies of governed models; return how many proposals came or went.

    What is proposed already stays as it is, with whoever proposed it. What the file no longer declares is withdrawn.
    """
    wanted = {now.model: (was, now) for was, now in held.changes}
    moved = 0
    for name in dict.fromkeys([*wanted, *(model.name for model in held.spec.models)]):
        waiting = waiting_for(change.connection, name)
        if waiting is not None and waiting.project != held.spec.name:
            continue
        was, now = wanted.get(name, (None, None))
        if waiting is not None and now is not None and waiting.policy.digest == now.digest:
            continue
        if waiting is not None:
            settle(change, waiting, ProposalState.WITHDRAWN)
            change.record(
                PolicyWithdrawn(
                    project=waiting.project, model=name, proposal=waiting.id, digest=waiting.policy.digest
                )
            )  # fmt: skip
        if was is not None and now is not None:
            _propose(change, held.spec.name, was, now, file=file)
        moved += waiting is not None or now is not None
    return moved


def settle(change: Change, proposal: Proposal, state: ProposalState) -> Proposal:
    """Let a proposal wait no longer."""
    change.execute(update(table).where(table.c.id == proposal.id).values(state=state.value, open_of=None))
    return msgspec.structs.replace(proposal, state=state)


def _propose(change: Change, project: str, was: ModelPolicy, now: ModelPolicy, *, file: str) -> None:
    proposal = Proposal(
        id=change.new_id(), project=project, policy=now, replaces=was, by=change.actor, because=change.because,
        at=change.at, file=file,
    )  # fmt: skip
    change.execute(
        insert(table).values(
            id=proposal.id, model=now.model, state=proposal.state.value, open_of=now.model, digest=now.digest,
            proposal=msgspec.json.encode(proposal).decode(),
        )
    )  # fmt: skip
    change.record(
        PolicyProposed(
            project=project, model=now.model, proposal=proposal.id, digest=now.digest, replaced=was.digest,
            approve_by=proposal.approve_by, other_than_author=proposal.other_than_author,
            changes=differences(was, now),
        )
    )  # fmt: skip


def _proposal(state: str, text: str) -> Proposal:
    return msgspec.structs.replace(msgspec.json.decode(text, type=Proposal), state=ProposalState(state))
