"""Stop a turn of the loop by hand: its training ends, its version leaves the endpoint, the champion answers alone."""

from contextlib import suppress

import msgspec

from trimtab.kernel import Actor, Conflict
from trimtab.loop.records import Turn, TurnState
from trimtab.loop.rollout import routing_of
from trimtab.loop.turns import get_turn, move_turn
from trimtab.pipelines import cancel
from trimtab.serving import RegisteredReleases, set_routing
from trimtab.store import Store


class NotToBeCancelled(Conflict):
    """The turn is over, or its version answers everybody already."""

    code = "loop.not-to-be-cancelled"
    default_next = "trimtab rollback {model} --because '...', which brings the version before back"


def cancel_turn(store: Store, id: str, *, actor: Actor, because: str) -> Turn:
    """Cancel an open turn that does not answer all traffic yet. Raises ``TurnMissing`` and ``NotToBeCancelled``."""
    turn = get_turn(store, id)
    if not turn.state.is_open or turn.state is TurnState.FULL:
        raise NotToBeCancelled(
            f"turn {turn.id} of {turn.model} is {turn.state.value}",
            where=f"turn {turn.id}",
            why="Only what has not reached everybody yet can be cancelled.",
            model=turn.model,
        )
    if turn.run is not None and turn.state is TurnState.TRAINING:
        with suppress(Conflict):  # it ended just now
            cancel(store, turn.run, actor=actor, because=because)
    routing = routing_of(store, turn.model)
    with store.change(actor, because) as change:
        if turn.state.rolls_out and routing is not None:
            alone = msgspec.structs.replace(
                routing, paired=False,
                canary=tuple(one for one in routing.canary if one.version != turn.version),
                shadow=tuple(one for one in routing.shadow if one != turn.version),
            )  # fmt: skip
            set_routing(change, alone, releases=RegisteredReleases(store))
        return move_turn(change, turn, TurnState.CANCELLED, because or "cancelled by hand")
