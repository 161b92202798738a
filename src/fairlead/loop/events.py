"""What the loop tells the ledger."""

from typing import ClassVar

from fairlead.store import Event, Subject


class DeclarationApplied(Event, frozen=True, kw_only=True):
    """A declared thing is in force from here on (or, with no digest, is no longer declared)."""

    type: ClassVar[str] = "loop.declaration-applied"
    project: str
    kind: str
    name: str
    digest: str | None
    replaced: str | None = None

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject(self.kind, self.name, self.digest), Subject("project", self.project))

    def before(self) -> str | None:
        return self.replaced

    def after(self) -> str | None:
        return self.digest
