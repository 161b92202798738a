"""The nouns of the room: a compiled view, the parts that it reads, its proof, its rows and its registration."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trimtab.declare import Column, FeatureView, FeatureViewSpec

Kind = Literal["float", "int", "category", "bool"]
Scalar = float | int | str | bool | None


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the row itself, given with the request."""

    field: str
    kind: Kind


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar part, in UTC, of a time field of the row itself."""

    field: str
    part: Literal["minute", "hour", "weekday", "day", "month", "quarter", "year"]


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the newest row of lookup number ``lookup``; null when that is older than ``within_us``."""

    lookup: int
    field: str
    within_us: int | None
    kind: Kind


class Windowed(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregate over the last ``over_us`` microseconds of the values of one field in tail number ``tail``."""

    tail: int
    field: str
    function: Literal["mean", "sum", "count", "min", "max", "std"]
    over_us: int


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A constant."""

    value: float | int | str | bool


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """``left op right``: a float for arithmetic, a bool for a comparison; null when either side is null."""

    op: Literal["+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!="]
    left: "Value"
    right: "Value"


Value = Own | Part | Newest | Windowed | Given | Computed


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """Newest rows to find: of ``contract``, matched on ``by``, known from the time column ``known`` on."""

    contract: str
    by: tuple[str, ...]
    known: str
    fields: tuple[str, ...]


class TailField(msgspec.Struct, frozen=True, kw_only=True):
    """A field that windows read: the longest of them, and whether single values or squares are needed."""

    field: str
    longest_us: int
    extremes: bool
    squares: bool
    sums: bool


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """Values to aggregate: of ``contract``, matched on ``by``, in the order of the time column ``known``."""

    contract: str
    by: tuple[str, ...]
    known: str
    fields: tuple[TailField, ...]


class FeatureColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One output column: its name, its kind, the declaration that it comes from, and how its value is found."""

    name: str
    kind: Kind
    source: Column
    value: Value


class CompiledView(msgspec.Struct, frozen=True, kw_only=True):
    """A view made ready: columns in order, and every lookup and tail that they share, each read once a row.

    ``request_fields`` are the fields of the view's own contract that a request must bring (the by-keys, own columns,
    and times whose parts are columns); ``digest`` names the definition.
    """

    view: FeatureViewSpec
    digest: str
    columns: tuple[FeatureColumn, ...]
    lookups: tuple[Lookup, ...]
    tails: tuple[Tail, ...]
    request_fields: tuple[str, ...]

    @property
    def parts(self) -> tuple["Lookup | Tail", ...]:
        """What one row reads from the online store, besides the row itself."""
        return (*self.lookups, *self.tails)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def kinds(self) -> dict[str, Kind]:
        return {column.name: column.kind for column in self.columns}

    @property
    def offset_us(self) -> int:
        """Microseconds from the ``decided`` column to the moment of decision."""
        return round(self.view.decided_offset_s * 1_000_000)


View = FeatureView | FeatureViewSpec | CompiledView
"""A view in any of its forms: as declared in a project's file, as a frozen value, or compiled."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Why no column of a view can see a label: a summary, and one line for each column."""

    summary: str
    because: str
    lines: tuple[str, ...]


class RegisteredView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a view as the registry of features holds it."""

    id: str
    name: str
    version: int
    digest: str
    of: str
    columns: tuple[str, ...]
    owner: str
    description: str
    spec: FeatureViewSpec
    registered_at: datetime
    registered_by: str
    materialised_at: datetime | None = None
    """The moment up to which the online store holds what was known: the view's freshness."""


class Materialised(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of ``materialise`` did: ``filled`` anew, ``appended`` newer facts, or found it ``unchanged``."""

    view: str
    digest: str
    how: Literal["filled", "appended", "unchanged"]
    now: datetime
    exact_from: datetime | None
    facts: int
    rows: int
    tables: dict[str, str]


class OnlineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of features at one moment: values in the view's order, and how old each is.

    ``ages_s`` is, for a looked-up value, the decision minus its event time; for a window, the decision minus the
    moment its newest value became known; None for a field of the request, and where there is nothing.
    ``request`` holds the fields of the row itself. ``materialised_at`` says up to when facts were loaded.
    """

    at: datetime
    names: tuple[str, ...]
    values: tuple[Scalar, ...]
    ages_s: tuple[float | None, ...]
    request: dict[str, Any]
    materialised_at: datetime

    def as_dict(self) -> dict[str, Scalar]:
        return dict(zip(self.names, self.values, strict=True))


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One value that is not the same offline and online."""

    row: int
    column: str
    offline: Scalar
    online: Scalar


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison of training rows with online rows found."""

    rows: int
    columns: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        return not self.differences
