"""Bring the version before back at once, by hand: model, features, preprocessing and thresholds in one move."""

from trimtab.kernel import Actor, Invalid
from trimtab.loop.controller import roll_back_turn
from trimtab.loop.events import RolledBack
from trimtab.loop.records import TurnState
from trimtab.loop.rollout import routing_of
from trimtab.loop.turns import each_turn, open_turn_of
from trimtab.registry import CHAMPION, VersionRef, release_for, set_alias
from trimtab.serving import Endpoint, NoEndpoint, RegisteredReleases, Routing, get_endpoint, set_routing
from trimtab.store import Store, events

ROUTED = "serving.routing-changed"
MOST_ROUTINGS = 1000


class NothingBefore(Invalid):
    """There is no version to go back to."""

    code = "loop.nothing-before"
    default_next = "trimtab get versions {model}, then trimtab serve {model}@N --because '...'"


def roll_back(store: Store, model: str, *, actor: Actor, because: str) -> Endpoint:
    """Let the version before the present one answer all traffic of a model's endpoint, within a second.

    During a rollout that is the champion, and the turn ends as rolled back; after it, the version that the present one
    replaced, in a turn or by hand. A version carries its own features, preprocessing and thresholds, so all of them go
    back together; the gateway swaps its routes as a whole, so no request fails. Raises ``NoEndpoint``, and
    ``NothingBefore``.
    """
    now = routing_of(store, model)
    if now is None:
        raise NoEndpoint(f"there is no endpoint {model[:100]!r}", where="trimtab rollback")
    turn = open_turn_of(store, model)
    if turn is not None and turn.state.rolls_out and turn.champion is not None:
        release_for(store, f"{model}@{turn.champion}", actor=actor)
        roll_back_turn(store, turn, actor=actor, because=because)
        return get_endpoint(store, model)
    before = _replaced(store, model, now.champion)
    if before is None:
        raise NothingBefore(
            f"{model}@{now.champion} replaced no version",
            where=f"endpoint {model}",
            why="Only what was served before can be brought back without a new approval.",
            model=model,
        )
    to = f"{model}@{before}"
    release_for(store, to, actor=actor)
    with store.change(actor, because) as change:
        routing = Routing(
            endpoint=model, model=model, champion=before, sticky_by=now.sticky_by, broken_rows=now.broken_rows
        )
        endpoint = set_routing(change, routing, releases=RegisteredReleases(store))
        set_alias(change, VersionRef.parse(to), CHAMPION)
        change.record(RolledBack(endpoint=model, ref=f"{model}@{now.champion}", to=to))
    return endpoint


def _replaced(store: Store, model: str, version: int) -> int | None:
    """Return the version that one took the place of: as its turn says, or else as the endpoint was routed."""
    for turn in each_turn(store, model):
        if turn.version == version and turn.champion is not None and turn.state is not TurnState.ROLLED_BACK:
            return turn.champion
    stack: list[int] = []
    for event in reversed(events(store, type=ROUTED, subject=("endpoint", model), order="newest", limit=MOST_ROUTINGS)):
        routing = event.data["now"]
        if routing is None:
            stack.clear()
        elif routing["champion"] in stack:  # gone back to: what was above it was taken out of service
            del stack[stack.index(routing["champion"]) + 1 :]
        else:
            stack.append(routing["champion"])
    return stack[-2] if len(stack) > 1 and stack[-1] == version else None
