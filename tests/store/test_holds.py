"""Legal holds: made and ended for a reason, each an event, and told for ever."""

import pytest
from tests.store.aged import ANN

from trimtab.kernel import Conflict, NotFound
from trimtab.store import Hold, ReasonMissing, Store, active_holds, end_hold, events, list_holds, make_hold


def make(store: Store, subject: str, because: str = "case 12") -> Hold:
    with store.change(ANN, because) as change:
        return make_hold(change, subject)


def test_a_hold_is_made_and_ended_with_an_event_each(store: Store) -> None:
    made = make(store, "model:late")
    ended = end_hold(store, made.id, actor=ANN, because="the case is over")
    assert (made.state, ended.state, ended.ended_because) == ("in force", "ended", "the case is over")
    assert list_holds(store) == (ended,)
    told = [event for event in events(store) if event.type.startswith("store.hold-")]
    assert [(e.type, e.because) for e in told] == [
        ("store.hold-made", "case 12"), ("store.hold-ended", "the case is over"),
    ]  # fmt: skip
    assert {("model", "late"), ("hold", made.id)} == {(s.kind, s.id) for s in told[0].subjects}
    with store.read() as connection:
        assert active_holds(connection) == []


def test_a_hold_is_ended_by_what_it_is_on_when_one_alone_is(store: Store) -> None:
    first, second = make(store, "all"), make(store, "all", "case 13")
    with pytest.raises(Conflict, match="2 holds are on all"):
        end_hold(store, "all", actor=ANN, because="over")
    end_hold(store, first.id, actor=ANN, because="over")
    assert end_hold(store, "all", actor=ANN, because="over").id == second.id
    with pytest.raises(NotFound):
        end_hold(store, "all", actor=ANN, because="over")


def test_without_a_reason_nothing_is_held_and_nothing_let_go(store: Store) -> None:
    with pytest.raises(ReasonMissing):
        make(store, "all", "  ")
    made = make(store, "all")
    with pytest.raises(ReasonMissing):
        end_hold(store, made.id, actor=ANN, because="")
    assert [hold.state for hold in list_holds(store)] == ["in force"]
