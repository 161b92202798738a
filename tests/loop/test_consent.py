"""The policy of a governed model changes only with the approval that the policy in force asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from tests.loop.parcels import write_project

from trimtab.declare import Project, load_project
from trimtab.kernel import Actor, Call
from trimtab.loop import (
    DeclaredElsewhere,
    NeverAnswered,
    OwnPolicy,
    PolicyApproved,
    PolicyProposed,
    PolicyRejected,
    PolicyWithdrawn,
    Proposal,
    ProposalMissing,
    ProposalOver,
    ProposalState,
    applied,
    apply_project,
    approve_policy,
    approve_version,
    get_proposal,
    list_proposals,
    make_plan,
    open_proposal_of,
    pipeline_of,
    reject_policy,
    routes,
    run_one,
    stages_of,
)
from trimtab.loop.api import BecauseRequest
from trimtab.loop.declarations import record_declarations
from trimtab.pipelines import Runner, submit
from trimtab.registry import AuthorApproves, get_version
from trimtab.store import ReasonMissing, RowForged, Store, events, verify

ANN, BEN, CARL = Actor("ann"), Actor("ben"), Actor("carl")
GOVERNED = '\nslow.retrain_when(tt.every("30d"), approve=tt.by("risk").other_than_author())\n'
ONE_PERSON = GOVERNED.replace(".other_than_author()", "")
NOBODY = '\nslow.retrain_when(tt.every("30d"))\n'
ACCEPT = "slow.accept_if(tt.auc >= 0.7, tt.log_loss <= tt.champion.log_loss + 1.0)"
SERVE = 'slow.serve(rollout=tt.shadow("1d") >> tt.canary(10, each="1d") >> tt.full)'
FASTER = "slow.serve(rollout=tt.full)"
EASIER = "slow.accept_if(tt.auc >= 0.1)"
LESS = {"strength=1.0": "strength=0.5"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "parcels.py"


def declare(store: Store, file: Path, actor: Actor, *, rule: str = GOVERNED, **words: str) -> None:
    """Write the project with a rule behind it, and do the last step of an apply: what it declares comes into force."""
    project = written(file, rule, **words)
    with store.change(actor, f"{actor} applies") as change:
        record_declarations(change, project.spec, file=file)


def again(store: Store, file: Path) -> None:
    """Let Ann apply the file as it stands."""
    with store.change(ANN, "ann applies") as change:
        record_declarations(change, load_project(file).spec, file=file)


def written(file: Path, rule: str, **words: str) -> Project:
    write_project(file, **words)
    file.write_text(file.read_text() + rule)
    return load_project(file)


def waiting(store: Store) -> Proposal:
    found = open_proposal_of(store, "slow")
    assert found is not None
    return found


def in_force(store: Store) -> tuple[object, object]:
    """Who approves, and whether two persons are asked for."""
    spec = applied(store, "parcels")["policy", "slow"].spec
    return spec["approve_by"], spec["other_than_author"]


def told(store: Store, *types: type) -> list[tuple[str, str]]:
    return [(one.type, one.actor.id) for type_ in types for one in events(store, type=type_.type)]


RULES = {"nobody": NOBODY, "no line": "", "one person": ONE_PERSON, "more": GOVERNED.replace("30d", "1d")}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_author_who_changes_the_rule_needs_the_other_person(store: Store, file: Path, rule: str) -> None:
    declare(store, file, ANN)
    declare(store, file, ANN, rule=rule)
    assert in_force(store) == ("risk", True)
    with pytest.raises(OwnPolicy, match="ann cannot approve the policy of slow") as caught:
        approve_policy(store, waiting(store).id, actor=ANN, because="mine")
    assert "trimtab approve policy slow" in caught.value.next
    assert in_force(store) == ("risk", True)

    done = approve_policy(store, waiting(store).id, actor=BEN, because="I looked at it")
    assert done.state is ProposalState.APPROVED
    assert (("policy", "slow") in applied(store, "parcels")) == bool(rule)
    assert not make_plan(store, load_project(file)).has_changes
    assert told(store, PolicyProposed, PolicyApproved) == [(PolicyProposed.type, "ann"), (PolicyApproved.type, "ben")]
    assert verify(store).kind == "intact"


def test_versions_are_made_under_the_policy_in_force(store: Store, file: Path) -> None:
    apply_project(store, written(file, GOVERNED), actor=ANN, because="the first")
    easier = written(file, NOBODY, **{SERVE: FASTER, ACCEPT: EASIER}, **LESS)
    _, (outcome,) = apply_project(store, easier, actor=ANN, because="quick and easy")

    version = get_version(store, "slow@2")
    assert (version.approve_by, version.other_than_author, version.params) == ("risk", True, {"strength": 0.5})
    assert any("at least 0.7" in line for line in outcome.verdict), "the gate in force judged it"
    assert [stage.kind for stage in stages_of(store, "slow")] == ["shadow", "canary", "full"]
    with pytest.raises(AuthorApproves):
        approve_version(store, "slow@2", actor=ANN, because="mine")
    (step,) = [one for one in pipeline_of(store, easier, "slow").steps if one.name == "register-slow"]
    assert step.params["policy"] == version.lineage.policy, "trimtab run keeps to it, too"

    approve_policy(store, waiting(store).id, actor=BEN, because="quicker is fine")
    assert [stage.kind for stage in stages_of(store, "slow")] == ["full"]
    (step,) = [one for one in pipeline_of(store, easier, "slow").steps if one.name == "register-slow"]
    assert step.params["policy"] != version.lineage.policy


@pytest.mark.parametrize("words", [{SERVE: FASTER}, {ACCEPT: EASIER}, {ACCEPT: ""}], ids=["rollout", "gate", "no gate"])
def test_gate_and_rollout_change_only_with_a_yes(store: Store, file: Path, words: dict[str, str]) -> None:
    declare(store, file, ANN)
    before = (stages_of(store, "slow"), applied(store, "parcels")["model", "slow"].spec["accept"])
    declare(store, file, ANN, **words)
    assert (stages_of(store, "slow"), applied(store, "parcels")["model", "slow"].spec["accept"]) == before
    approve_policy(store, waiting(store).id, actor=BEN, because="quicker is fine")
    assert (stages_of(store, "slow"), applied(store, "parcels")["model", "slow"].spec["accept"]) != before
    assert not make_plan(store, load_project(file)).has_changes


def test_a_governed_model_that_leaves_the_file_stays_until_somebody_agrees(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    text_ = file.read_text()
    file.write_text(text_[: text_.index("parcel = tt.features(")])
    plan = make_plan(store, load_project(file))
    assert "the model is no longer declared" in plan.item("proposal", "slow").lines
    again(store, file)

    assert ("model", "slow") in applied(store, "parcels")
    assert ("features", "parcel") in applied(store, "parcels")
    file.write_text(text_.replace(GOVERNED, NOBODY))
    with pytest.raises(OwnPolicy):
        approve_policy(store, waiting(store).id, actor=ANN, because="mine")
    removal = waiting(store)
    again(store, file)
    assert in_force(store) == ("risk", True)
    assert get_proposal(store, removal.id).state is ProposalState.WITHDRAWN
    assert told(store, PolicyWithdrawn) == [(PolicyWithdrawn.type, "ann")]

    file.write_text(text_[: text_.index("parcel = tt.features(")])
    again(store, file)
    approve_policy(store, waiting(store).id, actor=BEN, because="it is not")
    assert ("model", "slow") not in applied(store, "parcels")


def test_a_second_file_cannot_declare_a_governed_model(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    second = file.with_name("a_parcels.py")  # the first by name, which would be asked first
    for rule in (NOBODY, GOVERNED):
        project = written(second, rule)
        with pytest.raises(DeclaredElsewhere, match=r"slow is declared by parcels\.py already"):
            make_plan(store, project)
        with pytest.raises(DeclaredElsewhere):
            run_one(store, project, "slow", actor=ANN, because="mine")
        with pytest.raises(DeclaredElsewhere), store.change(ANN, "mine") as change:
            record_declarations(change, project.spec, file=second)
    assert in_force(store) == ("risk", True)


def test_a_plan_says_who_has_to_agree_and_what_waits(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    plan = make_plan(store, written(file, NOBODY, **{SERVE: FASTER}))

    (item,) = [one for one in plan.items if one.sign != "="]
    assert (item.sign, item.kind, item.name) == ("~", "proposal", "slow")
    assert item.lines == (
        "needs the approval of risk, other than the author; what is in force stays until then:",
        "approved by: risk, other than the author, then nothing",
        "rollout: shadow 1d > canary 10% 1d > full, then full",
    )
    again(store, file)
    after = make_plan(store, load_project(file))
    assert not after.has_changes
    assert "waits for risk, other than the author: trimtab approve policy slow --because '...'" in str(after)
    assert apply_project(store, load_project(file), actor=CARL, because="once more") == (None, ())
    assert waiting(store).by == ANN, "who applies it again has not proposed it"


def test_a_proposal_gives_way_to_the_next_and_to_what_is_in_force(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    declare(store, file, ANN, rule=NOBODY)
    first = waiting(store)
    declare(store, file, CARL, rule=ONE_PERSON)
    second = waiting(store)
    with pytest.raises(ProposalOver, match="withdrawn"):
        approve_policy(store, first.id, actor=BEN, because="this is what I have read")
    declare(store, file, ANN)
    assert open_proposal_of(store, "slow") is None
    with pytest.raises(ProposalOver):
        approve_policy(store, second.id, actor=BEN, because="fine")
    assert in_force(store) == ("risk", True)
    assert [one.state for one in list_proposals(store, "slow")] == [ProposalState.WITHDRAWN] * 2


def test_a_rejected_proposal_is_over_and_can_be_made_again(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    declare(store, file, ANN, rule=NOBODY)
    with pytest.raises(ReasonMissing):
        reject_policy(store, waiting(store).id, actor=BEN, because=" ")
    rejected = reject_policy(store, waiting(store).id, actor=BEN, because="two persons it is")
    assert told(store, PolicyRejected) == [(PolicyRejected.type, "ben")]
    with pytest.raises(ProposalOver, match="rejected"):
        approve_policy(store, rejected.id, actor=BEN, because="well")
    assert make_plan(store, load_project(file)).item("proposal", "slow").sign == "~"
    again(store, file)
    assert waiting(store).id != rejected.id
    with pytest.raises(ProposalMissing):
        approve_policy(store, "nothing", actor=BEN, because="x")


def test_one_person_may_change_a_policy_that_asks_for_one(store: Store, file: Path) -> None:
    declare(store, file, ANN, rule=ONE_PERSON)
    declare(store, file, ANN, rule=NOBODY)
    assert in_force(store) == ("risk", False)
    approve_policy(store, waiting(store).id, actor=ANN, because="I am risk, too")
    assert in_force(store) == (None, False)
    (event,) = events(store, type=PolicyApproved.type)
    assert event.data["self_approved"]


def test_what_asks_for_nobody_changes_at_once(store: Store, file: Path) -> None:
    declare(store, file, ANN, rule="")
    declare(store, file, ANN, rule=GOVERNED, **{SERVE: FASTER})
    assert in_force(store) == ("risk", True)
    assert list_proposals(store) == []


def test_a_version_that_was_trained_under_another_policy_is_not_registered(sqlite_store: Store, file: Path) -> None:
    store = sqlite_store
    declare(store, file, ANN)
    trained = submit(store, pipeline_of(store, load_project(file), "slow"), actor=ANN, because="once more")
    declare(store, file, ANN, **{ACCEPT: EASIER})
    approve_policy(store, waiting(store).id, actor=BEN, because="easier")

    with Runner(store) as runner:
        error = runner.run_until_done(trained.id).step("register-slow").error
    assert error is not None
    assert (error.code, error.what) == ("loop.policy-changed", "the policy of slow has changed since its training")


def test_a_proposal_whose_record_was_changed_is_refused(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    declare(store, file, ANN, rule=ONE_PERSON)
    proposal = waiting(store)
    asks, nobody = '"approve_by":"risk","other_than_author":false', '"approve_by":null,"other_than_author":false'
    with store.database.write() as connection:
        query = text("UPDATE loop_proposals SET proposal = replace(proposal, :was, :now)")
        connection.execute(query, {"was": asks, "now": nobody})
    with pytest.raises(RowForged, match="a row of loop_proposals is not what the ledger says"):
        approve_policy(store, proposal.id, actor=BEN, because="fine")
    assert in_force(store) == ("risk", True)


def test_what_stays_in_force_is_held_to_the_features_too(store: Store, file: Path) -> None:
    by_depot = "slow.accept_if(tt.auc.worst(by='depot', at_least=50) >= 0.1)"
    declare(store, file, ANN, **{ACCEPT: by_depot})
    fewer = written(file, GOVERNED, **{"Parcel.depot, Parcel.sent": "Parcel.sent", ACCEPT: EASIER})
    with pytest.raises(NeverAnswered, match="'depot', which is no column") as caught:
        make_plan(store, fewer)
    assert caught.value.next.startswith("apply the change of slow's policy by itself")


def test_the_routes_list_show_and_decide(store: Store, file: Path) -> None:
    declare(store, file, ANN)
    declare(store, file, ANN, rule=NOBODY)
    id_ = waiting(store).id
    at = "/api/v1/proposals"
    assert [one.id for one in ask(store, "GET", at).items] == [id_]
    assert ask(store, "GET", at, query={"model": "other"}).items == []
    assert ask(store, "GET", f"{at}/{{id}}", id=id_).policy.retraining.approve_by is None
    with pytest.raises(OwnPolicy):
        ask(store, "POST", f"{at}/{{id}}/approve", BecauseRequest(because="mine"), actor=ANN, id=id_)
    rejected = ask(store, "POST", f"{at}/{{id}}/reject", BecauseRequest(because="no"), id=id_)
    assert rejected.state is ProposalState.REJECTED
    declare(store, file, ANN, rule="")
    approved = ask(store, "POST", f"{at}/{{id}}/approve", BecauseRequest(because="yes"), id=waiting(store).id)
    assert approved.state is ProposalState.APPROVED


def ask(
    store: Store, method: str, path: str, request: Any = None, *, actor: Actor = BEN,
    query: Mapping[str, str] | None = None, **parts: str,
) -> Any:  # fmt: skip
    """Call the route's handler and check that its answer has the promised type."""
    route = next(one for one in routes(store) if (one.method, one.path) == (method, path))
    call = Call(actor=actor, path=parts, query=query or {})
    answer = route.handler(call) if request is None else route.handler(call, request)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=route.response) == answer
    return answer
