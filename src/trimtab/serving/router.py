"""Who answers a decision: one immutable snapshot of all routes, swapped as a whole, and a choice without chance."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from trimtab.serving.batching import Batcher
from trimtab.serving.frames import Layout
from trimtab.serving.inputs import Intake
from trimtab.serving.loader import LoadedModel
from trimtab.serving.records import Routing, Stage
from trimtab.serving.statistics import Tally

SLOTS = 10_000
"""Into so many equal parts the traffic of an endpoint is divided: a share is a whole number of them, at least one."""


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
    """One endpoint, ready: every target is loaded under a checked release. ``slots`` say which canary has which part
    of the traffic (0: the champion)."""

    routing: Routing
    champion: Target
    canaries: tuple[Target, ...]
    shadows: tuple[Target, ...]
    slots: Sequence[int]

    @classmethod
    def of(
        cls, routing: Routing, *, champion: Target, canaries: tuple[Target, ...], shadows: tuple[Target, ...]
    ) -> "Route":
        """Return the route whose canaries have the shares that the routing gives them."""
        slots = slots_of(routing.endpoint, {one.version: one.percent for one in routing.canary})
        return cls(routing=routing, champion=champion, canaries=canaries, shadows=shadows, slots=slots)

    @property
    def targets(self) -> tuple[Target, ...]:
        return (self.champion, *self.canaries, *self.shadows)

    def choose(self, id: str, sticky: object = None) -> Choice:
        """Choose by a hash of the sticky value, or of the decision's id: the same input, the same answer, everywhere.

        A share that grows keeps what it had, and takes from the champion.
        """
        if not self.canaries:
            return Choice(self.champion, "champion")
        token = id if sticky is None else _text_of(sticky)
        chosen = self.slots[int(share_of(self.routing.endpoint, token) * SLOTS)]
        by = "id" if sticky is None else str(self.routing.sticky_by)
        for target in self.canaries:
            if target.version == chosen:
                return Choice(target, f"canary {target.percent or 0:g}% by {by}")
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


def slots_of(endpoint: str, percents: Mapping[int, float]) -> list[int]:
    """Return which version has each slot, from the percent of each canary; 0 is the champion.

    Each version has an order of its own in which it asks for slots, one in each round, until it has its share; a slot
    goes to whom asks first. So what a version has depends on its own share, and hardly on the others': one that grows
    goes on asking where it had stopped, when those with smaller shares have long had theirs.
    """
    left = {version: max(1, round(percents[version] * SLOTS / 100)) for version in sorted(percents)}
    orders = {version: _order(endpoint, version) for version in left}
    slots = [0] * SLOTS
    for place in range(SLOTS if left else 0):
        for version, order in orders.items():
            if left[version] and not slots[order[place]]:
                slots[order[place]] = version
                left[version] -= 1
        if not any(left.values()):
            break
    return slots


def _order(endpoint: str, version: int) -> list[int]:
    """Return the slots in a version's own order, which is for ever the same: sorted by a mix of each with a seed."""
    seed = hashlib.blake2b(f"{endpoint}\0{version}".encode(), digest_size=8).digest()
    mixed = np.arange(SLOTS, dtype=np.uint64) ^ np.uint64(int.from_bytes(seed, "big"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    order: list[int] = np.argsort(mixed, kind="stable").tolist()
    return order


def share_of(endpoint: str, token: str) -> float:
    """Return where a token lies between 0 and 1 at an endpoint: evenly spread, and for ever the same."""
    digest = hashlib.blake2b(f"{endpoint}\0{token}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _text_of(sticky: object) -> str:
    """Write a sticky value as text: a whole number is the same one, however a client sends it."""
    return str(int(sticky)) if isinstance(sticky, float) and sticky.is_integer() else str(sticky)
