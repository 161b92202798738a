"""Whoever writes the rows of what is in force changes no policy: nothing goes on by it, and verify names the row."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select
from tests.forging import by_sql, elsewhere
from tests.loop.test_consent import ANN, BEN, GOVERNED, NOBODY, declare, waiting, written

from trimtab.declare import Project
from trimtab.loop import Loop, ProposalState, apply_project, approve_policy, make_plan, stages_of
from trimtab.loop.tables import declarations
from trimtab.store import RowForged, Store, VerificationKind, events, verify

ROW = "row parcels/{kind}/slow of loop_declarations"
REST = "digest, spec, file, applied_at FROM loop_declarations WHERE kind = '{kind}'"
ATTACKS = [
    *((f"UPDATE loop_declarations SET spec = replace(spec, '{was}', '{now}') WHERE kind = '{{kind}}'",
       f"{ROW} is not what the ledger says", kind) for kind, was, now in [
           ("policy", '"approve_by":"risk"', '"approve_by":null'), ("endpoint", '"shadow"', '"full"'),
           ("model", "0.7", "0.1"),
    ]),
    *((statement, says, kind) for kind in ("policy", "endpoint", "model") for statement, says in [
        ("UPDATE loop_declarations SET file = '/tmp/mine.py' WHERE kind = '{kind}'", f"{ROW} is not what the ledger"),
        ("DELETE FROM loop_declarations WHERE kind = '{kind}'", f"{ROW} was taken out"),
        (f"INSERT INTO loop_declarations SELECT 'a', kind, name, {REST}",
         "row a/{kind}/slow of loop_declarations is not known to the ledger"),
        (f"INSERT INTO loop_declarations SELECT project, kind, 'other', {REST}",
         "row parcels/{kind}/other of loop_declarations is not known to the ledger"),
    ]),
]  # fmt: skip
DOORS: dict[str, Callable[[Store, Project, str], object]] = {
    "plan": lambda store, project, _: make_plan(store, project),
    "apply": lambda store, project, _: apply_project(store, project, actor=ANN, because="mine"),
    "approve": lambda store, _, id_: approve_policy(store, id_, actor=BEN, because="fine"),
    "tick": lambda store, *_: Loop(store).tick(),
    "stages": lambda store, *_: stages_of(store, "slow"),
}


def test_nothing_goes_on_by_a_policy_that_somebody_wrote(store: Store, tmp_path: Path) -> None:
    """As soon as the rows are right again, it does."""
    file = tmp_path / "parcels.py"
    declare(store, file, ANN)
    declare(store, file, ANN, rule=NOBODY)
    proposal, before = waiting(store).id, len(events(store))
    project = written(file, GOVERNED)
    with store.read() as connection:
        rows = [dict(row) for row in connection.execute(select(declarations)).mappings()]
    for statement, says, kind in ATTACKS:
        by_sql(store, statement.format(kind=kind))
        for name, door in DOORS.items():
            with pytest.raises(RowForged):
                pytest.fail(f"after {statement} goes on: {name}, {door(store, project, proposal)}")
        assert len(events(store)) == before
        found = verify(store)
        assert found.kind is VerificationKind.TAMPERED
        assert says.format(kind=kind) in found.what
        with elsewhere(store) as connection:
            connection.execute(delete(declarations))
            connection.execute(insert(declarations), rows)
        assert [stage.kind for stage in stages_of(store, "slow")] == ["shadow", "canary", "full"]
    assert approve_policy(store, proposal, actor=BEN, because="fine").state is ProposalState.APPROVED
