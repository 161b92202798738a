"""Evidence packs: what is in them, as of which position, the same bytes each time, and what they prove."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.forging import by_sql
from tests.governance.test_verify_offline import members_of, signed_again
from tests.registry.cases import BOB, registered

from trimtab.declare import Project, load_project
from trimtab.evaluation import list_evaluations
from trimtab.governance import Evidence, evidence_pack, verify_evidence
from trimtab.governance.verify_offline import INTACT, NOT_PROVABLE, verify_pack
from trimtab.kernel import Actor, ActorKind, Invalid, VirtualClock, digest_of_bytes
from trimtab.loop import apply_project, approve_policy, approve_version, open_proposal_of
from trimtab.registry import VersionMissing, approve, get_version
from trimtab.store import RowsDamaged, Store, VerificationKind, events, ledger_size, replace_key


def key_of(store: Store) -> str:
    return store.keys.public(store.origin) or ""


def position_of(store: Store, type_: str, ref: str) -> int:
    return events(store, type=type_, subject=("version", ref))[0].position


@pytest.fixture
def approved(store: Store, project: Project, actor: Actor) -> Store:
    apply_project(store, project, actor=actor, because="the parcels of early 2013")
    approve_version(store, "slow@1", actor=actor, because="first model")
    return store


def test_it_proves_the_order_and_is_the_same_again_later(approved: Store, clock: VirtualClock, actor: Actor) -> None:
    first = evidence_pack(approved, "slow@1")
    found = verify_pack(first.data, [key_of(approved)])
    assert (found.code, first.missing, len(found.unproved)) == (INTACT, (), 1)
    assert "data check" in found.proved[2]
    assert "rollout" in found.proved[2]
    assert evidence_pack(approved, "slow@champion").data == first.data
    clock.sleep(3600)
    with approved.change(actor, "another model") as change:
        change.record(events_happened())
    later = evidence_pack(approved, "slow@1")
    assert (later.position, later.data == first.data) == (first.position + 1, False)
    assert evidence_pack(approved, "slow@1", position=first.position).data == first.data


def test_who_trusts_an_old_key_of_the_ledger_follows_it_to_the_new_one(approved: Store, actor: Actor) -> None:
    old, before = key_of(approved), evidence_pack(approved, "slow@1")
    assert "ledger/keys.jsonl" not in before.members
    new = replace_key(approved, actor=actor, because="every year").new
    for position in (before.position, None):
        evidence = evidence_pack(approved, "slow@1", position=position)
        assert evidence.key == new
        assert [verify_pack(evidence.data, [key]).code for key in (old, new)] == [INTACT, INTACT]
    assert verify_pack(before.data, [new]).code == NOT_PROVABLE


def events_happened():
    from trimtab.registry import ModelAdded

    return ModelAdded(model="other")


def test_what_is_in_it(evidence: Evidence) -> None:
    folders = {name.partition("/")[0] for name in evidence.members}
    assert folders == {
        "README.txt", "approvals", "card.html", "card.json", "card.md", "covered.json", "data", "environment",
        "environment.json", "evaluation", "features.json", "ledger", "manifest.json", "manifest.sig", "params.json",
        "pipeline.json", "policy.json", "releases", "run", "turns", "verify_offline.py", "version.json",
    }  # fmt: skip
    members = members_of(evidence.data)
    assert json.loads(members["version.json"])["status"] == "approved"
    types = [
        json.loads(json.loads(line)["entry"])["event"]["type"] for line in members["ledger/events.jsonl"].splitlines()
    ]
    for type_ in (
        "pipelines.run-submitted", "data.snapshot-taken", "features.view-registered", "tracking.run-finished",
        "evaluation.evaluation-saved", "registry.version-registered", "registry.version-approved",
        "registry.release-issued", "serving.routing-changed", "serving.decisions-sealed", "loop.declaration-applied",
    ):  # fmt: skip
        assert type_ in types


def test_as_of_an_earlier_position(lived: Store, key: str) -> None:
    entered, said = (position_of(lived, f"registry.version-{what}", "slow@2") for what in ("registered", "approved"))
    with pytest.raises(VersionMissing, match="there was no version slow@2"):
        evidence_pack(lived, "slow@2", position=entered - 1)
    candidate = evidence_pack(lived, "slow@2", position=entered)
    assert candidate.position == entered
    members = members_of(candidate.data)
    assert json.loads(members["version.json"])["status"] == "candidate"
    assert not [name for name in members if name.startswith(("approvals/", "releases/"))]
    assert verify_pack(candidate.data, [key]).code == INTACT
    assert evidence_pack(lived, "slow@challenger", position=said).ref == "slow@2"
    assert evidence_pack(lived, "slow@latest", position=said).ref == "slow@2"
    for wrong in (-1, ledger_size(lived)):
        with pytest.raises(Invalid, match="the ledger has no position"):
            evidence_pack(lived, "slow@2", position=wrong)


def test_it_verifies_as_of_every_position(lived: Store, key: str) -> None:
    """Whatever a version has come to, its evidence proves the steps so far, in their order."""
    steps = ["data check", "evaluation", "approval", "rollout"]
    seen = set()
    for position in range(position_of(lived, "registry.version-registered", "slow@2"), ledger_size(lived)):
        found = verify_pack(evidence_pack(lived, "slow@2", position=position).data, [key])
        assert found.code == INTACT, found
        proved = [part.partition(" (event ")[0] for part in found.proved[2].split(" < ")]
        assert proved == steps[: len(proved)]
        seen.add(len(proved))
    assert seen == {2, 3, 4}


def test_a_turn_is_in_it_as_it_stood_then(lived: Store) -> None:
    told = events(lived, subject=("turn", events(lived, type="loop.turn-opened")[0].data["turn"]))
    moves = [event for event in told if event.data.get("ref") == "slow@1"]
    assert moves
    for event in moves:
        members = members_of(evidence_pack(lived, "slow@1", position=event.position).data)
        (name,) = [name for name in members if name.startswith("turns/")]
        turn = json.loads(members[name])
        assert turn["state"] == event.data["now"]
        assert len(turn["moves"]) == told.index(event) + 1
        assert digest_of_bytes(members[name]) == event.data["digest"]


def test_every_version_verifies(lived: Store, key: str) -> None:
    for ref in ("slow@1", "slow@2", "slow@3"):
        assert verify_pack(evidence_pack(lived, ref).data, [key]).code == INTACT


def test_an_approval_against_the_order_is_not_proved(store: Store) -> None:
    version = registered(store, evaluation_id=None)
    with store.change(BOB, "it is urgent") as change:
        approve(change, version, override="there is no time")
    pack = evidence_pack(store, version)
    found = verify_pack(pack.data, [key_of(store)])
    assert found.code == NOT_PROVABLE
    assert "does not prove that there was any data check" in found.what
    assert "that there was any evaluation" in found.unproved
    assert any(line.startswith("evaluation: late@1 was registered without one") for line in pack.missing)
    assert any(line.startswith("snapshot snap_1") for line in pack.missing)


def test_an_approval_by_a_token_says_who_issued_it(store: Store) -> None:
    """In the record of the approval, in its event and in the card; and the issuer cannot be left out."""
    version = registered(store, Actor("ops").holding("ann", ActorKind.PERSON), other_than_author=True)
    with store.change(Actor("root").holding("bob", ActorKind.PERSON), "it is better") as change:
        approve(change, version)
    members = members_of(evidence_pack(store, version).data)
    (name,) = [name for name in members if name.startswith("approvals/")]
    by = {"id": "bob", "kind": "person", "issued_by": ["root"]}
    entries = [json.loads(json.loads(line)["entry"])["event"] for line in members["ledger/events.jsonl"].splitlines()]
    assert json.loads(members[name])["by"] == by
    assert json.loads(members["version.json"])["registered_by"]["issued_by"] == ["ops"]
    assert [one["actor"] for one in entries if one["type"] == "registry.version-approved"] == [by]
    assert verify_pack(signed_again(members, store.keys.of(store.origin)), [key_of(store)]).bad is None
    hidden = members | {name: members[name].replace(b',"issued_by":["root"]', b"")}
    assert hidden != members
    assert verify_pack(signed_again(hidden, store.keys.of(store.origin)), [key_of(store)]).bad == name
    card = members | {"card.json": members["card.json"].replace(b'"value":"root"', b'"value":"carl"')}
    assert card != members
    assert verify_pack(signed_again(card, store.keys.of(store.origin)), [key_of(store)]).bad == "card.json"


def test_a_record_that_was_changed_is_not_evidence(store: Store) -> None:
    version = registered(store)
    with store.database.write() as connection:
        connection.execute(text("UPDATE registry_versions SET record = replace(record, 'trees', 'leaves')"))
    with pytest.raises(Invalid, match="is not the one that was registered"):
        evidence_pack(store, version.ref)


def test_a_report_that_was_changed_is_not_evidence(sqlite_store: Store) -> None:
    version = registered(sqlite_store)
    digest = list_evaluations(sqlite_store).items[0].digest.removeprefix("sha256:")
    folder = sqlite_store.settings.home_path / "blobs"
    blob = next(path for path in folder.rglob("*") if "".join(path.parts[-2:]).endswith(digest[2:]))
    blob.chmod(0o600)
    blob.write_bytes(b"{}")
    pack = evidence_pack(sqlite_store, version.ref)
    assert any(line.startswith("the evaluation: blob") for line in pack.missing)
    assert "evaluation/report.json" not in pack.members


def test_an_event_that_was_changed_is_not_evidence(store: Store) -> None:
    version = registered(store)
    by_sql(store, "UPDATE ledger_events SET body = replace(body, 'train', 'guess')")
    with pytest.raises(RowsDamaged):
        evidence_pack(store, version.ref)


def test_it_is_verified_with_what_a_home_knows(lived: Store, evidence: Evidence, tmp_path: Path) -> None:
    file = tmp_path / "slow.zip"
    file.write_bytes(evidence.data)
    home = lived.settings.home_path
    assert verify_evidence(file, home=home).kind is VerificationKind.INTACT
    assert verify_evidence(file).kind is VerificationKind.NOT_PROVABLE
    assert verify_evidence(file, home=tmp_path).kind is VerificationKind.NOT_PROVABLE
    assert verify_evidence(file, keys=[key_of(lived)]).kind is VerificationKind.INTACT
    assert verify_evidence(file, keys=["none"]).kind is VerificationKind.USAGE
    assert verify_evidence(file, checkpoints=["none"]).kind is VerificationKind.USAGE
    assert verify_evidence(tmp_path / "none.zip").kind is VerificationKind.USAGE
    file.write_bytes(evidence.data.replace(b"first model", b"worst model"))
    assert verify_evidence(file, home=home).kind is VerificationKind.TAMPERED


def test_a_version_that_is_not_there(store: Store) -> None:
    with pytest.raises(VersionMissing, match="there was no version late@1 when the ledger had 0 events"):
        evidence_pack(store, "late@1")
    with store.change(Actor("ann"), "a start") as change:
        change.record(events_happened())
    with pytest.raises(VersionMissing):
        evidence_pack(store, "late@1")


def test_nothing_of_the_home_is_changed(lived: Store) -> None:
    blobs = lived.settings.home_path / "blobs"
    before = ledger_size(lived), sorted(blobs.rglob("*"))
    evidence_pack(lived, "slow@2")
    assert (ledger_size(lived), sorted(blobs.rglob("*"))) == before
    assert get_version(lived, "slow@2").status == "approved"


def test_a_proposed_policy_is_in_it(approved: Store, project: Project, actor: Actor) -> None:
    file = project.path
    text_ = file.read_text()
    rule = '\nslow.retrain_when(tt.every("30d"), approve=tt.by("risk").other_than_author())\n'
    for rules in (rule, ""):
        file.write_text(text_ + rules)
        apply_project(approved, load_project(file), actor=actor, because="a rule, and none")
    proposal = open_proposal_of(approved, "slow")
    assert proposal is not None
    approve_policy(approved, proposal.id, actor=BOB, because="fine")

    pack = evidence_pack(approved, "slow@1")
    assert verify_pack(pack.data, [key_of(approved)]).code == INTACT
    members = members_of(pack.data)
    name = f"policies/{proposal.id}.json"
    assert digest_of_bytes(members[name]) == proposal.policy.digest
    entries = [json.loads(json.loads(line)["entry"])["event"] for line in members["ledger/events.jsonl"].splitlines()]
    told = [(one["type"], one["actor"]["id"]) for one in entries if one["type"].startswith("loop.policy-")]
    assert told == [("loop.policy-proposed", actor.id), ("loop.policy-approved", BOB.id)]
    changed = members | {name: members[name].replace(b'"removed":false', b'"removed":true')}
    assert verify_pack(signed_again(changed, approved.keys.of(approved.origin)), [key_of(approved)]).bad == name
