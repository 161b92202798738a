"""Versions are numbered from 1 without gap or double, bound to digests, and registered once."""

import threading
from typing import Any

import msgspec
import pytest
from tests.registry.cases import ANN, BOB, artifacts, evaluated, lineage, registered

from trimtab.kernel import VirtualClock, digest_of_bytes
from trimtab.registry import (
    ModelMissing,
    NameNotUsable,
    NotRegistrable,
    Status,
    VersionMissing,
    VersionRef,
    get_model,
    get_version,
    list_models,
    list_versions,
)
from trimtab.store import Store, events


def test_a_version_holds_what_it_was_made_from(store: Store) -> None:
    version = registered(store, description="first", approve_by="ops-lead", owner="delays")
    assert (version.ref, version.status, version.task) == ("late@1", Status.CANDIDATE, "classification")
    assert (version.verdict_passed, version.approve_by, version.registered_by) == (True, "ops-lead", ANN)
    assert version.covered == version.covers().digest
    assert get_version(store, "late@1") == version
    assert get_version(store, "late@latest") == version
    model = get_model(store, "late")
    assert (model.owner, model.versions, model.aliases, model.added_by) == ("delays", 1, {}, "ann")


def test_the_ledger_leads_to_the_evaluation_and_the_run(store: Store) -> None:
    version = registered(store, lineage=lineage(store, run_id="RUN1", pipeline_run_id="PIPE1"))
    first, second = events(store, type="registry.")
    assert (first.type, second.type) == ("registry.model-added", "registry.version-registered")
    assert (second.id, second.after) == (version.event_id, version.covered)
    kinds = {subject.kind: subject.id for subject in second.subjects}
    assert kinds == {
        "version": "late@1", "model": "late", "evaluation": version.evaluation_id, "run": "RUN1",
        "pipeline_run": "PIPE1",
    }  # fmt: skip


def test_the_same_again_is_the_same_version(store: Store, clock: VirtualClock) -> None:
    first = registered(store)
    before = len(events(store))
    clock.sleep(60)
    again = registered(store, actor=BOB, lineage=lineage(store, data=lineage(store).data[::-1]))
    assert again == first
    assert len(events(store)) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"model": b"other"},
        {"params": {"trees": 121}},
        {"passes": False},
        {"evaluation_id": None},
    ],
)
def test_one_other_byte_is_another_version(store: Store, changes: dict[str, Any]) -> None:
    first = registered(store)
    second = registered(store, **changes)
    assert second.number == 2
    assert second.covered != first.covered


def test_every_part_of_the_lineage_counts(sqlite_store: Store) -> None:
    first = registered(sqlite_store)
    other = digest_of_bytes(b"other")
    for number, part in enumerate(("code", "environment", "features", "policy"), start=2):
        assert registered(sqlite_store, lineage=lineage(sqlite_store, **{part: other})).number == number
    assert registered(sqlite_store, lineage=lineage(sqlite_store, data=(other,))).number == 6
    # Who ran it, and as which run, is not part of what it is.
    assert registered(sqlite_store, lineage=lineage(sqlite_store, run_id="RUN9", snapshots=())) == first


def test_models_count_on_their_own(store: Store) -> None:
    registered(store)
    registered(store, name="early")
    assert [model.name for model in list_models(store).items] == ["early", "late"]
    page = list_models(store, limit=1)
    assert page.next == "early"
    assert [model.name for model in list_models(store, limit=1, cursor=page.next).items] == ["late"]


def test_versions_page_from_the_newest(store: Store) -> None:
    for i in range(5):
        registered(store, model=bytes([i]), evaluation_id=None)
    first = list_versions(store, "late", limit=3)
    assert [version.number for version in first.items] == [5, 4, 3]
    assert first.next == "3"
    rest = list_versions(store, "late", limit=3, before=3)
    assert ([version.number for version in rest.items], rest.next) == ([2, 1], None)


def test_writers_at_once_leave_no_gap_and_no_double(store: Store) -> None:
    """Eight threads register four different models, each twice."""
    found: list[int] = []
    failed: list[BaseException] = []
    evaluation = None

    def register(i: int) -> None:
        try:
            found.append(registered(store, model=bytes([i % 4]), evaluation_id=evaluation).number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=register, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(found) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert len(events(store, type="registry.version-registered")) == 4
    assert len(events(store, type="registry.model-added")) == 1


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("artifacts.model", {"model": "v1"}),
        ("artifacts.signature", {"signature": ""}),
        ("artifacts.sample", {"sample": "sha256:12"}),
    ],
)
def test_artifacts_are_digests(sqlite_store: Store, where: str, change: dict[str, str]) -> None:
    bad = msgspec.structs.replace(artifacts(sqlite_store), **change)
    with pytest.raises(NotRegistrable, match="is not a digest") as raised:
        registered(sqlite_store, artifacts=bad, evaluation_id=None)
    assert where in raised.value.where
    assert list_models(sqlite_store).items == ()


@pytest.mark.parametrize("part", ["code", "environment", "features", "policy", "data"])
def test_lineage_is_digests(sqlite_store: Store, part: str) -> None:
    bad = lineage(sqlite_store, **{part: ("git:abc",) if part == "data" else "git:abc"})
    with pytest.raises(NotRegistrable, match="is not a digest"):
        registered(sqlite_store, lineage=bad)


def test_an_evaluation_of_other_bytes_is_refused(sqlite_store: Store) -> None:
    other = evaluated(sqlite_store, model=b"another model")
    with pytest.raises(NotRegistrable, match="is of other bytes"):
        registered(sqlite_store, evaluation_id=other)
    with pytest.raises(NotRegistrable, match="there is no evaluation 'none'"):
        registered(sqlite_store, evaluation_id="none")


def test_an_evaluation_of_the_same_model_in_another_format_counts(sqlite_store: Store) -> None:
    evaluation = evaluated(sqlite_store, model=b"onnx of model")
    assert registered(sqlite_store, evaluation_id=evaluation).evaluation_id == evaluation


@pytest.mark.parametrize("name", ["", "la te", "9", "late@1", "x" * 101])
def test_names_of_models(sqlite_store: Store, name: str) -> None:
    from trimtab.registry import register_version

    with sqlite_store.change(ANN, "x") as change, pytest.raises(NameNotUsable):
        register_version(change, model=name, artifacts=artifacts(sqlite_store), lineage=lineage(sqlite_store))


def test_what_is_not_there_says_what_is(sqlite_store: Store) -> None:
    for look in (lambda: get_version(sqlite_store, "late@1"), lambda: get_model(sqlite_store, "late")):
        with pytest.raises(ModelMissing, match="there is no model 'late'"):
            look()
    with pytest.raises(ModelMissing):
        list_versions(sqlite_store, "late")
    registered(sqlite_store)
    with pytest.raises(
        VersionMissing, match=r"there is no version late@2. The model has the versions 1 and the aliases none"
    ):
        get_version(sqlite_store, "late@2")
    with pytest.raises(VersionMissing):  # more than a column of the database holds
        get_version(sqlite_store, VersionRef("late", 2**63, ""))
    with pytest.raises(VersionMissing, match="there is no version late@champion"):
        get_version(sqlite_store, "late")
