"""Turns of the loop: one open turn for each model, moved by one at a time, each move in the ledger."""

import msgspec
import pytest
from sqlalchemy import insert
from tests.forging import by_sql

from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import Trigger, TriggerKind, Turn, TurnMissing, TurnState, get_turn, list_turns, move_turn, open_turn
from trimtab.loop.tables import turns
from trimtab.loop.turns import TurnOpen, TurnTaken, again_if_taken, open_turn_of, open_turns
from trimtab.store import RowForged, Store, events, verify

TRIGGER = Trigger(kind=TriggerKind.DRIFT, text="prediction drift above 0.1: 0.11 > 0.1")


def begun(store: Store, actor: Actor, model: str = "late") -> Turn:
    with store.change(actor, "it drifted") as change:
        return open_turn(change, model, TRIGGER)


def test_a_turn_moves_from_trigger_to_verdict(store: Store, actor: Actor, clock: VirtualClock) -> None:
    turn = begun(store, actor)
    assert (turn.state, open_turn_of(store, "late"), get_turn(store, turn.id)) == (TurnState.TRAINING, turn, turn)
    for state in (TurnState.WAITING, TurnState.SHADOW, TurnState.FULL, TurnState.KEPT):
        clock.sleep(3600)
        with store.change(actor) as change:
            turn = move_turn(change, turn, state, f"now {state.value}", version=2)
    assert [move.state for move in turn.moves] == [
        TurnState.TRAINING, TurnState.WAITING, TurnState.SHADOW, TurnState.FULL, TurnState.KEPT
    ]  # fmt: skip
    assert turn.ended_at == clock.now()
    assert open_turn_of(store, "late") is None
    assert list_turns(store, "late") == [turn]
    told = events(store, type="loop.turn-moved", limit=10)
    assert [event.data["now"] for event in told] == ["waiting", "shadow", "full", "kept"]
    assert [event.before for event in told[1:]] == [event.after for event in told[:-1]]
    assert verify(store).kind == "intact"


def test_a_model_has_one_open_turn(store: Store, actor: Actor) -> None:
    turn = begun(store, actor)
    with pytest.raises(TurnOpen):
        begun(store, actor)
    other = begun(store, actor, "early")
    with store.change(actor) as change:
        move_turn(change, turn, TurnState.REFUSED, "its gate did not pass")
    again = begun(store, actor)
    assert [one.id for one in list_turns(store)] == [again.id, other.id, turn.id]
    assert list_turns(store, limit=1, before_id=again.id) == [other]
    assert len(list_turns(store, limit=None)) == 3
    assert open_turns(store) == [again, other]


def test_only_who_saw_the_last_move_makes_the_next(store: Store, actor: Actor) -> None:
    turn = begun(store, actor)
    with store.change(actor) as change:
        move_turn(change, turn, TurnState.WAITING, "good enough")
    count = len(events(store, limit=100))
    with pytest.raises(TurnTaken), store.change(actor) as change:
        move_turn(change, turn, TurnState.FAILED, "too late")
    assert get_turn(store, turn.id).state is TurnState.WAITING
    assert len(events(store, limit=100)) == count


def test_what_nobody_repeats_by_hand_is_done_anew_when_another_one_was_quicker(store: Store, actor: Actor) -> None:
    begun(store, actor)
    seen: list[TurnState] = []

    def work() -> Turn:
        turn = open_turn_of(store, "late")
        assert turn is not None
        seen.append(turn.state)
        if len(seen) == 1:
            with store.change(actor) as change:
                move_turn(change, turn, TurnState.SHADOW, "a controller was quicker")
        with store.change(actor) as change:
            return move_turn(change, turn, TurnState.CANCELLED, "another version is there")

    assert again_if_taken(work).state is TurnState.CANCELLED
    assert seen == [TurnState.TRAINING, TurnState.SHADOW]
    begun(store, actor)
    with pytest.raises(TurnOpen):
        again_if_taken(lambda: begun(store, actor))
    assert verify(store).kind == "intact"


def test_an_unknown_turn_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(TurnMissing):
        get_turn(sqlite_store, "01JX0000000000000000000000")


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE loop_turns SET turn = replace(turn, \'"state":"waiting"\', \'"state":"full"\')',
        "UPDATE loop_turns SET revision = 9",
        "UPDATE loop_turns SET open_of = 'other'",
    ],
)
def test_a_turn_that_somebody_wrote_is_not_moved(store: Store, actor: Actor, statement: str) -> None:
    turn = begun(store, actor)
    with store.change(actor) as change:
        turn = move_turn(change, turn, TurnState.WAITING, "good enough")
    by_sql(store, statement)
    with pytest.raises(RowForged), store.change(actor) as change:
        move_turn(change, get_turn(store, turn.id), TurnState.SHADOW, "on it goes")
    with pytest.raises(RowForged):
        open_turn_of(store, "other" if "other" in statement else "late")
    assert "row of loop_turns is not what the ledger says" in verify(store).what.replace(turn.id + " ", "")


def test_a_turn_that_nobody_began_is_none(store: Store, actor: Actor) -> None:
    turn = begun(store, actor, "early")
    text = msgspec.json.encode(msgspec.structs.replace(turn, id="0" * 26, model="late")).decode()
    with store.database.write() as connection:
        connection.execute(
            insert(turns).values(id="0" * 26, model="late", revision=1, state="training", open_of="late", turn=text)
        )
    with pytest.raises(RowForged):
        open_turn_of(store, "late")
