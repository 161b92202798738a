"""Who answers a decision: one immutable snapshot of all routes, swapped as a whole, and a choice without chance."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from trimtab.serving.batching import Batcher
from trimtab.serving.frames import Layout
from trimtab.serving.inputs import Intake
from trimtab.serving.loader import LoadedModel
from trimtab.serving.records import Routing, Stage
from trimtab.serving.statistics import Tally


class Target(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A loaded version in its place at an endpoint. ``percent`` is its share of the traffic; None for a shadow."""

    loaded: LoadedModel
    stage: Stage
    percent: float | None
    intake: Intake
    batcher: Batcher
    layout: Layout
    tally: Tally

    @property
    def version(self) -> int:
        return self.loaded.released.version


class Choice(msgspec.Struct, frozen=True):
    """Who answers, and why."""

    target: Target
    reason: str


class Route(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One endpoint, ready: every target is loaded under a checked release."""

    routing: Routing
    champion: Target
    canaries: tuple[Target, ...]
    shadows: tuple[Target, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self.champion, *self.canaries, *self.shadows)

    def choose(self, id: str, sticky: object = None) -> Choice:
        """Choose by a hash of the sticky value, or of the decision's id: the same input, the same answer, everywhere.

        A share that grows keeps the decisions that it had.
        """
        if not self.canaries:
            return Choice(self.champion, "champion")
        drawn = share_of(self.routing.endpoint, id if sticky is None else _text_of(sticky)) * 100
        by = "id" if sticky is None else str(self.routing.sticky_by)
        for target in self.canaries:
            percent = target.percent or 0.0
            if drawn < percent:
                return Choice(target, f"canary {percent:g}% by {by}")
            drawn -= percent
        return Choice(self.champion, f"champion {self.champion.percent or 0:g}% by {by}")

    def without(self, versions: frozenset[int]) -> "Route | None":
        """Return the route without some versions, whose share the champion takes; None when that is the champion."""
        if self.champion.version in versions:
            return None
        return msgspec.structs.replace(
            self,
            canaries=tuple(target for target in self.canaries if target.version not in versions),
            shadows=tuple(target for target in self.shadows if target.version not in versions),
        )


class RoutingSnapshot(msgspec.Struct, frozen=True, eq=False):
    """All routes at one moment. A request uses the snapshot that it met first, whatever is swapped meanwhile."""

    routes: Mapping[str, Route] = MappingProxyType({})


def share_of(endpoint: str, token: str) -> float:
    """Return where a token lies between 0 and 1 at an endpoint: evenly spread, and for ever the same."""
    digest = hashlib.blake2b(f"{endpoint}\0{token}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _text_of(sticky: object) -> str:
    """Write a sticky value as text: a whole number is the same one, however a client sends it."""
    return str(int(sticky)) if isinstance(sticky, float) and sticky.is_integer() else str(sticky)
