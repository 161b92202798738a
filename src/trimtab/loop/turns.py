"""Open turns of the loop, move them, and look them up. A model has one open turn at most."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.kernel import Conflict, NotFound, digest_of
from trimtab.loop.events import TurnMoved, TurnOpened
from trimtab.loop.records import Move, Trigger, TriggerKind, Turn, TurnState
from trimtab.loop.tables import turns as table
from trimtab.registry import Version
from trimtab.store import Change, Store, check_rows

MOST = 500


class TurnMissing(NotFound):
    """There is no such turn."""

    code = "loop.turn-missing"
    default_why = "Turns are named by the id that `trimtab get turns` lists."
    default_next = "trimtab get turns"


class TurnOpen(Conflict):
    """The model's present turn has not ended."""

    code = "loop.turn-open"
    default_why = "Two turns at once would train and roll out against each other."
    default_next = "trimtab get turns {model}, and wait for its end"


class TurnTaken(Conflict):
    """Somebody else moved the turn in the same moment."""

    code = "loop.turn-taken"
    default_why = "Only one controller moves a turn at a time; the other one's move counts."
    default_next = "trimtab get turns, then decide again"


TAKEN_AT_MOST = 9
T = TypeVar("T")


class TurnPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some turns of the loop, newest first, and where the next page begins (null: it was the last)."""

    items: list[Turn]
    next: str | None = None


def open_turn(
    change: Change,
    model: str,
    trigger: Trigger,
    *,
    state: TurnState = TurnState.TRAINING,
    text: str = "",
    evidence: tuple[str, ...] = (),
    **parts: Any,
) -> Turn:
    """Begin a turn. ``parts`` are further fields of it. Raises ``TurnOpen`` when the model has an open one."""
    move = Move(at=change.at, state=state, text=text or trigger.text, evidence=evidence or trigger.evidence)
    turn = Turn(
        id=change.new_id(), model=model, trigger=trigger, state=state, opened_at=change.at, since=change.at,
        moves=(move,), ended_at=None if state.is_open else change.at, **parts,
    )  # fmt: skip
    try:
        change.execute(insert(table).values(id=turn.id, model=model, revision=1, **_columns(turn)))
    except IntegrityError:
        raise TurnOpen(f"{model} has an open turn", where=f"model {model}", model=model) from None
    change.record(TurnOpened(turn=turn.id, model=model, trigger=trigger, state=state, digest=digest_of(turn)))
    return turn


def move_turn(
    change: Change,
    turn: Turn,
    state: TurnState,
    text: str,
    *,
    evidence: tuple[str, ...] = (),
    **parts: Any,
) -> Turn:
    """Enter the next state, or the next stage, and say why. Raises ``TurnTaken`` when the turn has moved meanwhile."""
    revision, present = _locked(change, turn.id)
    if present != turn:
        raise TurnTaken(f"turn {turn.id} of {turn.model} is {present.state.value} by now", where=f"turn {turn.id}")
    moves = (*turn.moves, Move(at=change.at, state=state, text=text, evidence=evidence))
    moved = msgspec.structs.replace(
        turn, state=state, since=change.at, moves=moves, ended_at=None if state.is_open else change.at, **parts
    )
    change.execute(update(table).where(table.c.id == turn.id).values(revision=revision + 1, **_columns(moved)))
    change.record(
        TurnMoved(
            turn=turn.id, model=turn.model, ref=moved.ref, was=turn.state, now=state, stage=moved.stage,
            text=text, evidence=evidence, replaced=digest_of(turn), digest=digest_of(moved),
        )
    )  # fmt: skip
    return moved


def again_if_taken(work: Callable[[], T]) -> T:
    """Do what moves a turn, and do it anew when somebody else has moved the turn in between: it may be moved still.

    For what nobody repeats by hand. Raises ``TurnTaken`` or ``TurnOpen`` when that happens again and again, and what
    ``work`` raises.
    """
    for _ in range(TAKEN_AT_MOST):
        with suppress(TurnTaken, TurnOpen):
            return work()
    return work()


def get_turn(store: Store, id: str) -> Turn:
    """Return a turn by its id. Raises ``TurnMissing``."""
    with store.read() as connection:
        row = connection.execute(select(table.c.turn).where(table.c.id == id)).first()
    if row is None:
        raise TurnMissing(f"there is no turn {id[:40]!r}", where="loop")
    return _turn(row.turn)


def open_turn_of(store: Store, model: str) -> Turn | None:
    """Return the open turn of a model, if it has one. Raises ``RowForged`` for one that the ledger does not tell of."""
    with store.read() as connection:
        row = connection.execute(_OPEN, {"model": model}).mappings().first()
        if row is None:
            return None
        check_rows(connection, table, [row])
    return _turn(row["turn"])


_OPEN = select(table).where(table.c.open_of == bindparam("model"))  # made once: it is asked at every tick


def open_turns(store: Store) -> list[Turn]:
    """Return every turn that has not ended, newest first."""
    query = select(table.c.turn).where(table.c.open_of.is_not(None)).order_by(table.c.id.desc())
    with store.read() as connection:
        return [_turn(row.turn) for row in connection.execute(query)]


def list_turns(
    store: Store, model: str | None = None, *, limit: int | None = 50, before_id: str | None = None,
    since: datetime | None = None,
) -> list[Turn]:  # fmt: skip
    """Return turns, newest first, at most ``limit`` (None: all); ``before_id`` goes on from an earlier call's last."""
    query = select(table.c.turn).order_by(table.c.id.desc()).limit(limit)
    if model is not None:
        query = query.where(table.c.model == model)
    if before_id is not None:
        query = query.where(table.c.id < before_id)
    with store.read() as connection:
        found = [_turn(row.turn) for row in connection.execute(query)]
    return [turn for turn in found if since is None or turn.opened_at >= since]


def each_turn(store: Store, model: str) -> Iterator[Turn]:
    """Yield all turns of a model, newest first, reading them as far as they are asked for."""
    before = None
    while turns := list_turns(store, model, limit=MOST, before_id=before):
        yield from turns
        before = turns[-1].id


def _locked(change: Change, id: str) -> tuple[int, Turn]:
    row = change.connection.execute(select(table).where(table.c.id == id).with_for_update()).mappings().first()
    if row is None:
        raise TurnMissing(f"there is no turn {id[:40]!r}", where="loop")
    check_rows(change.connection, table, [row])
    return int(row["revision"]), _turn(row["turn"])


def _columns(turn: Turn) -> dict[str, Any]:
    return {
        "state": turn.state.value, "open_of": turn.model if turn.state.is_open else None,
        "turn": msgspec.json.encode(turn).decode(),
    }  # fmt: skip


def _turn(text: str) -> Turn:
    return msgspec.json.decode(text, type=Turn)


def enter_turn(
    store: Store, change: Change, version: Version, *, passed: bool, lines: tuple[str, ...], run: str
) -> Turn:  # fmt: skip
    """Enter a judged version into the turn that its run belongs to; one that was made by hand gets a turn of its own.

    A turn that still waits for another version gives way to the newer one. While an older version rolls out, the new
    one has no turn: approving it begins one.
    """
    state = TurnState.WAITING if passed else TurnState.REFUSED
    text = f"{version.ref} is good enough, and waits for a yes" if passed else f"{version.ref} did not pass its gate"
    turn = open_turn_of(store, version.model)
    if turn is not None and turn.state is TurnState.TRAINING:
        return move_turn(change, turn, state, text, evidence=lines, version=version.number, run=run)
    trigger = Trigger(kind=TriggerKind.HAND, text=change.because or "applied by hand")
    if turn is not None and turn.state is TurnState.WAITING:
        move_turn(change, turn, TurnState.CANCELLED, f"{version.ref} takes its place")
    elif turn is not None:
        state = TurnState.CANCELLED if passed else state
        text = f"{text}; {turn.ref} is still rolling out" if passed else text
    return open_turn(
        change, version.model, trigger, state=state, text=text, evidence=lines, version=version.number, run=run
    )
