"""Do everything that is due now for the models in force: bring outcomes, watch, move the turn, look for a trigger."""

import logging
from datetime import datetime, timedelta

from trimtab.declare import ModelSpec
from trimtab.kernel import SYSTEM, Actor, TrimtabError
from trimtab.loop.controller import advance, keep
from trimtab.loop.declarations import InForce, all_in_force
from trimtab.loop.outcomes import OutcomeDesk
from trimtab.loop.records import Turn, TurnState
from trimtab.loop.rollout import routing_of
from trimtab.loop.schedule import refresh
from trimtab.loop.triggers import due, start_turn
from trimtab.loop.turns import each_turn, open_turn_of
from trimtab.monitoring import AlertKind, check, watch
from trimtab.serving import get_endpoint
from trimtab.store import Store

MOST_STEPS = 20
WINDOW = timedelta(hours=1)
SKEW_EVERY = timedelta(days=7)
SIGNS: tuple[AlertKind, ...] = ("drift", "performance", "quality", "service")
SKEW: tuple[AlertKind, ...] = ("skew",)
_log = logging.getLogger(__name__)


class Loop:
    """Turns the loop of every model in force. ``tick`` does what is due and returns; nothing else runs.

    The same object turns it in production (once a minute, in the server) and in a replay (once an hour of virtual
    time): both call ``tick``, and both read the time from the store's clock. In production others do part of the work:
    ``monitoring.mind`` watches and checks the endpoints, and a scheduled pipeline brings features and outcomes, in
    workers. With ``check_every``, as in a replay, the loop itself watches, checks that often, and brings outcomes;
    ``looked_at`` is when the process before this one, which was killed, had last done so.
    """

    def __init__(
        self,
        store: Store,
        *,
        actor: Actor = SYSTEM,
        check_every: timedelta | None = None,
        looked_at: datetime | None = None,
    ) -> None:
        self._store = store
        self._actor = actor
        self._desk = OutcomeDesk(store, actor=actor)
        self._check_every = check_every
        self._looked_at = looked_at
        self._looked: dict[tuple[str, timedelta], datetime] = {}

    def tick(self) -> tuple[Turn, ...]:
        """Do what is due for every model, and return the turns that moved.

        In production a model whose turn cannot be moved now does not keep the others from it; a replay raises.
        """
        moved: list[Turn] = []
        for project in all_in_force(self._store):
            for model in project.spec.models:
                try:
                    moved += self.tick_model(project, model)
                except TrimtabError as error:
                    if self._check_every is not None:
                        raise
                    _log.warning("the loop of %s does not turn: %s", model.name, error)
        return tuple(moved)

    def tick_model(self, project: InForce, model: ModelSpec) -> list[Turn]:
        """Do what is due for one model."""
        now = self._store.clock.now()
        answers = routing_of(self._store, model.name) is not None
        if self._check_every is None:
            refresh(self._store, project, model.view, actor=self._actor)
        elif answers and self._is_new(model.name, WINDOW, now):
            watch(self._store, model.name, until=now)
            self._desk.bring(project, model, until=now)
        if answers and self._check_every is not None and self._is_new(model.name, self._check_every, now):
            # Skew reads every fact that training would; of a year's days a replay samples one a week.
            skew = SKEW if self._is_new(model.name, SKEW_EVERY, now) else ()
            check(self._store, model.name, now, kinds=(*SIGNS, *skew))
        turn = open_turn_of(self._store, model.name)
        moved = self._advance(project, model, turn)
        if moved:  # and so it may be over
            turn = open_turn_of(self._store, model.name)
        begun = self._begin(model, turn)
        return [*moved, *begun, *(self._advance(project, model, begun[-1]) if begun else ())]

    def _is_new(self, model: str, every: timedelta, now: datetime) -> bool:
        """Say whether a new hour, or day, has begun since this was asked last; at the first time it has."""
        began = _began(now, every)
        before = None if self._looked_at is None else _began(self._looked_at, every)
        if self._looked.get((model, every), before) == began:
            return False
        self._looked[model, every] = began
        return True

    def _advance(self, project: InForce, model: ModelSpec, turn: Turn | None) -> list[Turn]:
        """Move the open turn as long as it moves."""
        moved = []
        for _ in range(MOST_STEPS):
            if turn is None or not turn.state.is_open:
                break
            after = advance(
                self._store, project, model, turn, actor=self._actor, materialise=self._check_every is None
            )  # fmt: skip
            if after == turn:
                break
            moved.append(after)
            turn = after
        return moved

    def _begin(self, model: ModelSpec, turn: Turn | None) -> list[Turn]:
        """Begin a new turn when the policy asks for it. A version that answers all traffic already is kept then."""
        if turn is not None and turn.state is not TurnState.FULL:
            return []
        routing = routing_of(self._store, model.name)
        if routing is None:
            return []
        since = _serving_since(self._store, model.name, routing.champion)
        trigger = due(self._store, model, version=routing.champion, since=since)
        if trigger is None:
            return []
        moved = []
        if turn is not None:
            moved.append(keep(self._store, turn, actor=self._actor, text="kept: the next turn begins"))
        return [*moved, start_turn(self._store, model.name, trigger, actor=self._actor)]


def _began(at: datetime, every: timedelta) -> datetime:
    """Return when the hour, or day, or week, that a moment lies in began."""
    return at - timedelta(seconds=at.timestamp() % every.total_seconds())


def _serving_since(store: Store, model: str, version: int) -> datetime:
    """Return when a version began to answer all traffic: by its turn, or else since somebody routed it by hand."""
    for turn in each_turn(store, model):
        if turn.version == version:
            at = next((move.at for move in turn.moves if move.state is TurnState.FULL), None)
            if at is not None:
                return at
    return get_endpoint(store, model).changed_at
