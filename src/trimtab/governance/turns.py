"""A turn of the loop as it stood after its last event, in the bytes whose digest that event holds."""

from collections.abc import Sequence
from itertools import product

import msgspec

from trimtab.kernel import canonical, digest_of_bytes
from trimtab.loop import Turn
from trimtab.store import Recorded


def turn_as_told(turn: Turn, told: Sequence[Recorded]) -> bytes | None:
    """Return a turn as its first ``len(told)`` events left it; None when its record is not what they vouch for.

    Moves are only ever added, and run, version and champion each set once, so what came later can be taken away.
    """
    if not 0 < len(told) <= len(turn.moves):
        return None
    moves, last = turn.moves[: len(told)], told[-1]
    state = moves[-1].state
    for run, version, champion in product((turn.run, None), (turn.version, None), (turn.champion, None)):
        then = msgspec.structs.replace(
            turn, state=state, since=moves[-1].at, stage=last.data.get("stage", 0), moves=moves, run=run,
            version=version, champion=champion, ended_at=None if state.is_open else moves[-1].at,
        )  # fmt: skip
        data = canonical(then)
        if digest_of_bytes(data) == last.data["digest"]:
            return data
    return None
