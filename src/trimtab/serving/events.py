"""What the ledger hears of serving."""

from typing import ClassVar

from trimtab.serving.records import Routing
from trimtab.store import Event, Subject


class RoutingChanged(Event, frozen=True, kw_only=True):
    """Other versions answer at an endpoint from now on, or in other shares, each under its release."""

    type: ClassVar[str] = "serving.routing-changed"

    endpoint: str
    revision: int
    was: Routing | None
    now: Routing | None
    releases: dict[str, str]

    def subjects(self) -> tuple[Subject, ...]:
        named = dict.fromkeys(f"{r.model}@{number}" for r in (self.now, self.was) if r for number in r.versions)
        return (
            Subject("endpoint", self.endpoint, self.after()),
            *(Subject("version", name, self.releases.get(name)) for name in named),
        )

    def before(self) -> str | None:
        return self.was.digest if self.was else None

    def after(self) -> str | None:
        return self.now.digest if self.now else None


class DecisionsSealed(Event, frozen=True, kw_only=True):
    """A segment of the decision log is complete: these decisions, under this digest, and no others."""

    type: ClassVar[str] = "serving.decisions-sealed"

    segment_id: str
    endpoint: str
    digest: str
    size_bytes: int
    count: int
    first_id: str
    last_id: str
    by_version: dict[str, int]

    def subjects(self) -> tuple[Subject, ...]:
        return (
            Subject("segment", self.segment_id, self.digest),
            Subject("endpoint", self.endpoint),
            *(Subject("version", name) for name in self.by_version),
        )

    def after(self) -> str:
        return self.digest
