"""Turns of the loop."""

from typing import Any

from trimtab.cli.nouns.noun import Asked, Noun, missing
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.kernel import is_id
from trimtab.loop import Turn, get_turn, list_turns


def _find(session: Session, asked: Asked) -> Any:
    if is_id(asked.name):
        return session.ask(get_turn, asked.name)
    found = session.ask(list_turns, asked.name or None, limit=asked.limit)
    if asked.name and not found:
        raise missing("turns", asked.name, why="No model of this name has begun a turn of the loop.")
    return found


def _facts(turn: Turn) -> list[tuple[str, Any]]:
    moves = [
        "\n".join([f"{move.at:%Y-%m-%d %H:%M}  {move.state.value:<12} {move.text}", *(f"  {e}" for e in move.evidence)])
        for move in turn.moves
    ]
    return [
        ("turn", turn.id), ("model", turn.model), ("version", turn.ref or "-"), ("state", turn.state.value),
        ("trigger", f"{turn.trigger.kind.value}: {turn.trigger.text}"), ("run", turn.run or "-"),
        ("moves", "\n".join(moves)),
    ]  # fmt: skip


NOUNS = {
    "turns": Noun(
        find=_find,
        columns=[
            Column("TURN", lambda t: t.id), Column("MODEL", lambda t: t.model), Column("VERSION", lambda t: t.version),
            Column("STATE", lambda t: t.state.value), Column("SINCE", lambda t: t.since),
            Column("TRIGGER", lambda t: t.trigger.kind.value), Column("LAST", lambda t: t.moves[-1].text),
        ],
        empty="The loop has not turned yet:\n  trimtab apply",
        facts=_facts,
    )
}  # fmt: skip
