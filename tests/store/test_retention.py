"""Old things go in batches, each with its event; what is needed or held stays; one gc at a time."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete
from tests.forging import by_sql
from tests.mistakes.standing import unchanged
from tests.store.aged import ANN, EPOCH, add, dry, gc, grow_old, left, with_ages
from tests.store.conftest import thing_table

from trimtab.kernel import Invalid, VirtualClock
from trimtab.store import (
    AnotherCollects,
    RowForged,
    Store,
    VerificationKind,
    end_hold,
    events,
    make_hold,
    verify,
    why_gone,
)
from trimtab.store.retention import _alone


@pytest.fixture
def aged(store: Store, things: Table, clock: VirtualClock) -> Store:
    """Things are kept for ten days; it is the first of March."""
    return with_ages(store, keep_runs="10d", keep_attempts="1h")


def hold(store: Store, subject: str) -> str:
    with store.change(ANN, "a case") as change:
        return make_hold(change, subject).id


def test_old_things_are_removed_in_batches_with_an_event_each(aged: Store) -> None:
    add(aged, *(f"a-{n}" for n in range(7)), hours=5)
    add(aged, "a-young", hours=24 * 55)
    found = gc(aged).items[0]
    assert (found.count, found.size_bytes, found.oldest) == (7, 70, EPOCH + timedelta(hours=5))
    assert left(aged) == {"a-young"}
    told = events(aged, type="store.removed")
    assert [event.data["count"] for event in told] == [3, 3, 1]
    first = told[0]
    assert (first.because, first.actor.id, first.data["rule"], first.data["age"]) == (
        "they are old", "ann", "runs", "10d",
    )  # fmt: skip
    assert [(subject.kind, subject.id) for subject in first.subjects] == [
        ("rule", "runs"), ("thing", "a-0"), ("thing", "a-1"), ("thing", "a-2"),
    ]  # fmt: skip
    aged.checkpoint()
    assert verify(aged).kind is VerificationKind.INTACT


def test_a_dry_run_says_the_same_and_changes_nothing(aged: Store) -> None:
    add(aged, "a-1", "a-2", "b-1", hours=5)
    hold(aged, "model:b")
    aged.blobs.put(b"nobody's")
    with unchanged(aged):
        said = dry(aged)
    assert (said.done, said.holds, said.items[0].count, said.items[0].held) == (False, ("model:b",), 2, 1)
    done = gc(aged)
    assert [one for one in done.items if one.name == "runs"] == [one for one in said.items if one.name == "runs"]


def test_what_is_needed_stays(aged: Store) -> None:
    add(aged, "a-1", "a-2", "b-1", hours=5)
    found = gc(aged, "thing:a-1", "model:b").items[0]
    assert (found.count, found.needed) == (1, 2)
    assert left(aged) == {"a-1", "b-1"}


def test_what_is_kept_for_ever_stays(aged: Store) -> None:
    add(aged, "a-1")
    with_ages(aged, keep_runs="forever")
    assert (gc(aged).items[0].count, left(aged)) == (0, {"a-1"})


def test_only_the_classes_that_are_named_are_looked_at(aged: Store) -> None:
    add(aged, "a-1")
    assert [one.name for one in gc(aged, classes=("attempts",)).items] == ["attempts"]
    assert left(aged) == {"a-1"}
    with pytest.raises(Invalid, match="no class"):
        gc(aged, classes=("all",))


def test_a_hold_keeps_what_it_is_on_until_it_is_ended(aged: Store) -> None:
    add(aged, "a-1", "b-1")
    id_ = hold(aged, "model:a")
    assert (gc(aged).items[0].held, left(aged)) == (1, {"a-1"})
    end_hold(aged, id_, actor=ANN, because="the case is over")
    gc(aged)
    assert left(aged) == set()


def test_a_hold_on_everything_keeps_blobs_too(aged: Store) -> None:
    add(aged, "a-1")
    digest = aged.blobs.put(b"nobody's")
    grow_old(aged.settings.home_path / "blobs")
    id_ = hold(aged, "all")
    found = gc(aged)
    assert [(one.count, one.held) for one in found.items] == [(0, 1), (0, 1)]
    assert (left(aged), aged.blobs.has(digest)) == ({"a-1"}, True)
    end_hold(aged, id_, actor=ANN, because="the case is over")
    gc(aged)
    assert (left(aged), aged.blobs.has(digest)) == (set(), False)


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM store_holds",
        "UPDATE store_holds SET ended_at = made_at, ended_by = 'ann', ended_because = 'over'",
        "UPDATE store_holds SET subject = 'model:b'",
        "INSERT INTO store_holds SELECT '1', 'all', because, by, made_at, NULL, NULL, NULL FROM store_holds",
    ],
    ids=["deleted", "ended", "moved", "added"],
)
def test_a_hold_changed_by_sql_makes_gc_refuse(aged: Store, attack: str) -> None:
    add(aged, "a-1", "b-1")
    hold(aged, "model:a")
    by_sql(aged, attack)
    with pytest.raises(RowForged):
        gc(aged)
    with pytest.raises(RowForged):
        dry(aged)
    assert left(aged) == {"a-1", "b-1"}
    assert verify(aged).kind is VerificationKind.TAMPERED


def test_a_second_gc_is_refused_while_one_is_at_work(aged: Store) -> None:
    add(aged, "a-1")
    with _alone(aged), pytest.raises(AnotherCollects):
        gc(aged)
    assert left(aged) == {"a-1"}
    gc(aged)
    assert left(aged) == set()


def test_what_was_removed_says_when_and_why(aged: Store) -> None:
    add(aged, "a-1")
    gc(aged)
    assert why_gone(aged, "thing:a-1")["why"] == (
        "It was removed on 2013-03-01 00:00:00 UTC by ann, as runs are kept for 10d: they are old."
    )
    assert why_gone(aged, "thing:a-2") == {}


names = st.builds("{}-{}".format, st.sampled_from("abc"), st.integers(0, 9))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages=st.dictionaries(names, st.integers(0, 24 * 80), max_size=12),
    held=st.frozensets(st.sampled_from(["model:a", "model:b", "model:c"])),
    needed=st.frozensets(st.sampled_from(["model:a", "thing:b-1", "thing:c-2"])),
)
def test_a_gc_removes_all_that_is_old_and_nothing_that_is_wanted(
    aged: Store, ages: dict[str, int], held: Iterable[str], needed: Iterable[str]
) -> None:
    with aged.database.write() as connection:
        connection.execute(delete(thing_table))
    for id_, hours in ages.items():
        add(aged, id_, hours=hours)
    holds = [hold(aged, subject) for subject in held]
    wanted = {*held, *needed}
    stays = {
        id_ for id_, hours in ages.items()
        if EPOCH + timedelta(hours=hours) >= aged.clock.now() - timedelta(days=10)
        or wanted & {f"thing:{id_}", f"model:{id_[0]}"}
    }  # fmt: skip
    gc(aged, *needed)
    assert left(aged) == stays
    assert gc(aged, *needed).items[0].count == 0
    assert left(aged) == stays
    for id_ in holds:
        end_hold(aged, id_, actor=ANN, because="over")
