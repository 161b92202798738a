"""What the ledger holds about features: definitions and the filling of the online store, never values."""

from typing import ClassVar

from trimtab.store import Event, Subject


class FeatureViewRegistered(Event, frozen=True, kw_only=True):
    """A view was declared, or declared anew with another meaning."""

    type: ClassVar[str] = "features.view-registered"

    view: str
    view_version: int
    digest: str
    replaced: str | None
    columns: int

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("view", self.view, self.digest),)

    def before(self) -> str | None:
        return self.replaced

    def after(self) -> str | None:
        return self.digest


class FeatureViewDescribed(Event, frozen=True, kw_only=True):
    """A view got another owner, description or promise; its values are the same."""

    type: ClassVar[str] = "features.view-described"

    view: str
    view_version: int
    digest: str
    owner: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("view", self.view, self.digest),)


class FeatureViewMaterialised(Event, frozen=True, kw_only=True):
    """The online store was filled with what was known of a view at a moment."""

    type: ClassVar[str] = "features.view-materialised"

    view: str
    digest: str
    how: str
    now: str
    facts: int
    rows: int
    tables: dict[str, str]

    def subjects(self) -> tuple[Subject, ...]:
        tables = (Subject("table", name, digest) for name, digest in sorted(self.tables.items()))
        return (Subject("view", self.view, self.digest), *tables)
