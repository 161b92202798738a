"""How mature the operation of a model is, by what the ledger and the records it vouches for show, and nothing else.

The levels and what belongs to each are those of Google Cloud's architecture guide "MLOps: Continuous delivery and
automation pipelines in machine learning": 0 manual, 1 automated training, 2 automated delivery of the pipeline itself.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import msgspec

from trimtab.features import FeatureViewMaterialised
from trimtab.governance.dossier import CAPTURED, COVERED, ENVIRONMENT, PIPELINE, REPORT, Dossier, dossier_of
from trimtab.governance.history import RUN_FINISHED, SNAPSHOT_TAKEN, events_of, number_at, size_at
from trimtab.governance.records import Check, Maturity, ProofOf
from trimtab.kernel import ActorKind, NotFound
from trimtab.loop import DeclarationApplied
from trimtab.pipelines import PipelineSubmitted
from trimtab.registry import CHAMPION, LATEST, ModelAdded, ReleaseIssued, VersionMissing, VersionRef, VersionRegistered
from trimtab.serving import DecisionsSealed, RoutingChanged
from trimtab.store import Recorded, Store

OPENED, MOVED, KEPT = "loop.turn-opened", "loop.turn-moved", "monitoring.reference-kept"
OUTCOMES = "monitoring.outcomes-recorded"
UNJUDGED = (
    "tests of the pipeline's own code that run elsewhere: no event tells of them",
    "how people work together, which no record shows",
)
_PROOFS = 5
_MACHINES = (ActorKind.SERVICE, ActorKind.SYSTEM)


class _Facts:
    """What is known of one model: its events, those of its endpoints, and the dossier of the version looked at."""

    def __init__(self, store: Store, model: str, *, size: int) -> None:
        self._store, self._size, self.model = store, size, model
        self.events = list(events_of(store, ("model", model), size=size))
        self.dossier = self._dossier()

    def _dossier(self) -> Dossier | None:
        for alias in (CHAMPION, LATEST):
            try:
                return dossier_of(
                    self._store,
                    number_at(self._store, VersionRef(self.model, None, alias), size=self._size),
                    size=self._size,
                )
            except VersionMissing:
                continue
        return None

    @property
    def version(self) -> Sequence[Recorded]:
        """The events of the dossier."""
        return self.dossier.events if self.dossier else ()

    def has(self, *members: str) -> bool:
        return self.dossier is not None and all(member in self.dossier.members for member in members)

    def look(self, source: str) -> object:
        """Return a value of the dossier, None when it is not there."""
        try:
            return self.dossier.look(source) if self.dossier else None
        except LookupError:
            return None

    @cached_property
    def routings(self) -> list[Recorded]:
        """The routings of the model's endpoints."""
        return [
            event
            for event in events_of(self._store, type=RoutingChanged.type, size=self._size)
            if any(one and one["model"] == self.model for one in (event.data["now"], event.data["was"]))
        ]

    @cached_property
    def outcomes(self) -> list[Recorded]:
        endpoints = sorted({str(event.data["endpoint"]) for event in self.routings})
        return [
            e for one in endpoints for e in events_of(self._store, ("endpoint", one), type=OUTCOMES, size=self._size)
        ]

    @cached_property
    def materialised(self) -> list[Recorded]:
        view, digest = self.look(f"{COVERED}#/view"), self.look(f"{COVERED}#/features")
        found = events_of(self._store, ("view", str(view)), type=FeatureViewMaterialised.type, size=self._size)
        return [event for event in found if event.data["digest"] == digest]

    @cached_property
    def declared(self) -> list[Recorded]:
        return [
            event
            for kind in ("model", "endpoint", "policy")
            for event in events_of(self._store, (kind, self.model), type=DeclarationApplied.type, size=self._size)
        ]

    def of(self, *types: str) -> list[Recorded]:
        """Return the events of some types about the version looked at."""
        return [event for event in self.version if event.type in types]

    def turns(self, *kinds: str) -> list[Recorded]:
        """Return the turns that were opened by a trigger of these kinds."""
        return [e for e in self.events if e.type == OPENED and e.data["trigger"]["kind"] in kinds]

    def moved(self, *states: str) -> list[Recorded]:
        """Return the moves of turns into these states."""
        return [event for event in self.events if event.type == MOVED and event.data["now"] in states]


Find = Callable[[_Facts], Iterable[Recorded]]


class _Asked(msgspec.Struct, frozen=True):
    """A check as it is asked: which facts would show it, and what to do when none do."""

    level: int
    name: str
    find: Find
    why: str
    next: str
    effort: int


def _if(condition: bool, events: Iterable[Recorded]) -> Iterable[Recorded]:
    return events if condition else ()


def _checked_data(facts: _Facts) -> Iterable[Recorded]:
    needed = facts.look(f"{COVERED}#/data")
    taken = list(facts.of(SNAPSHOT_TAKEN))
    known = {event.data["digest"] for event in taken}
    return _if(isinstance(needed, list) and bool(needed) and known >= set(needed), taken)


def _staged(facts: _Facts) -> Iterable[Recorded]:
    """Return the routings in which a version that later answered everybody first answered few or nobody."""
    tried: dict[int, Recorded] = {}
    for event in facts.routings:
        now = event.data["now"]
        if now is None:
            continue
        if now["champion"] in tried:
            yield from (tried.pop(now["champion"]), event)
        for number in (*now["shadow"], *(one["version"] for one in now["canary"])):
            tried.setdefault(number, event)


def _by(events: Iterable[Recorded], *kinds: ActorKind) -> list[Recorded]:
    return [event for event in events if event.actor.kind in kinds]


_TRIGGERS = ("schedule", "data", "drift", "performance")
_CHECKS = (
    _Asked(0, "a training run is kept, with what it logged", lambda f: f.of(RUN_FINISHED),
           "no finished run is bound to a version", "trimtab apply", 1),
    _Asked(0, "the model was evaluated on rows that it had not seen", lambda f: f.of("evaluation.evaluation-saved"),
           "no saved evaluation is bound to a version", "trimtab apply", 1),
    _Asked(0, "the model is in a registry, bound to digests", lambda f: f.of(VersionRegistered.type),
           "no version is registered", "trimtab apply", 1),
    _Asked(0, "it answers at an endpoint, under a signed release",
           lambda f: _if(bool(f.routings), f.of(ReleaseIssued.type, RoutingChanged.type)),
           "no version was released and routed", "trimtab approve MODEL@1 --because '...'", 1),
    _Asked(0, "its answers are kept", lambda f: f.of(DecisionsSealed.type),
           "no segment of decisions was sealed", "trimtab up, then trimtab predict MODEL --example", 1),
    _Asked(1, "data is validated: each snapshot was held to its contract", _checked_data,
           "a version was trained on data that no contract was held against",
           "declare a contract and a source, then trimtab apply", 2),
    _Asked(1, "the model is validated: its gate passed",
           lambda f: _if(f.look(f"{REPORT}#/verdict/passed") is True, f.of("evaluation.evaluation-saved")),
           "no gate passed it", "declare accept_if(...), then trimtab apply", 2),
    _Asked(1, "training is a pipeline", lambda f: _if(f.has(PIPELINE), f.of(PipelineSubmitted.type)),
           "it was trained by hand", "declare the model in the project's file, then trimtab apply", 2),
    _Asked(1, "metadata: run, environment and code are recorded and sealed",
           lambda f: _if(f.has("run/params.json", ENVIRONMENT), f.of(RUN_FINISHED)),
           "the run or its environment is not recorded", "trimtab run MODEL", 1),
    _Asked(1, "features come from a feature store, the same in training and serving",
           lambda f: f.materialised, "no feature view was brought online", "declare features, then trimtab apply", 2),
    _Asked(1, "models are delivered in stages: shadow or canary before all traffic", _staged,
           "no version went through a shadow or a canary before it answered everybody",
           "declare serve(rollout=...), train again, and approve it", 3),
    _Asked(1, "what comes of its answers is recorded", lambda f: f.outcomes,
           "no outcome of a decision was recorded", "declare a label that becomes known, and let trimtab up watch", 3),
    _Asked(1, "what serves is compared with a reference kept at approval", lambda f: f.of(KEPT),
           "no reference profile is kept for it", "train and approve it again: trimtab run MODEL", 1),
    _Asked(1, "training is continuous: a trigger, not a person, began a turn of the loop",
           lambda f: f.turns(*_TRIGGERS), "no turn was begun by a schedule, data, drift or performance",
           "declare retrain_when(...), then trimtab apply", 2),
    _Asked(2, "the code is under source control, and nothing was left uncommitted",
           lambda f: _if(f.look(f"{CAPTURED}#/code/dirty") is False, f.of(RUN_FINISHED)),
           "the champion was trained where there is no commit, or with uncommitted changes",
           "git commit, then trimtab run MODEL", 1),
    _Asked(2, "the pipeline is delivered automatically: a service applied the declaration",
           lambda f: _by(f.declared, ActorKind.SERVICE), "no service applied it with a token of its own",
           "trimtab token create ci, and apply from the pipeline of your repository", 4),
    _Asked(2, "monitoring closes the loop: drift or performance began a turn",
           lambda f: f.turns("drift", "performance"), "no turn was begun by what monitoring saw",
           "declare retrain_when(tt.drift.of_prediction > 0.1), then trimtab apply", 2),
    _Asked(2, "models are delivered automatically: the controller brought a version to full traffic",
           lambda f: _by(f.moved("full"), *_MACHINES), "no turn was brought to full traffic by the controller",
           "let a turn of the loop run: trimtab status", 3),
    _Asked(2, "late labels decide: a turn was kept or rolled back by them",
           lambda f: _by(f.moved("kept", "rolled back"), *_MACHINES), "no turn has its verdict yet",
           "wait for its labels: trimtab status", 3),
)  # fmt: skip


def level(store: Store, model: str, *, position: int | None = None) -> Maturity:
    """Return how mature the operation of a model is, as of a position of the ledger (default: now).

    Raises ``NotFound`` for a model that the ledger did not know.
    """
    size = size_at(store, position)
    facts = _Facts(store, model, size=size)
    if not any(event.type == ModelAdded.type for event in facts.events):
        raise NotFound(
            f"there is no model {model[:80]!r}",
            where="trimtab level",
            why="A model is there from its first registered version on.",
            next="trimtab get models",
        )
    checks = tuple(_check(asked, facts) for asked in _CHECKS)
    reached = [number for number in (0, 1, 2) if all(check.met for check in checks if check.level <= number)]
    return Maturity(
        model=model, level=max(reached, default=None), version=facts.dossier.ref if facts.dossier else None,
        position=size - 1, checks=checks, unjudged=UNJUDGED,
    )  # fmt: skip


def levels(store: Store, *, position: int | None = None) -> tuple[Maturity, ...]:
    """Return the maturity of every model that the ledger knew, by name."""
    size = size_at(store, position)
    names = sorted({str(event.data["model"]) for event in events_of(store, type=ModelAdded.type, size=size)})
    return tuple(level(store, name, position=size - 1) for name in names)


def _check(asked: _Asked, facts: _Facts) -> Check:
    found = list(asked.find(facts))
    model = facts.model
    return Check(
        level=asked.level, name=asked.name, met=bool(found), proof=tuple(_proof(event) for event in found[-_PROOFS:]),
        why="" if found else asked.why, next="" if found else asked.next.replace("MODEL", model), effort=asked.effort,
    )  # fmt: skip


def _proof(event: Recorded) -> ProofOf:
    about = event.subjects[0] if event.subjects else None
    return ProofOf(
        position=event.position, event=event.id, type=event.type, subject=f"{about.kind} {about.id}" if about else ""
    )
