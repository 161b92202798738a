"""The nouns of governance: why a decision was taken, and a model card whose every value names its record."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from fairlead.data import Snapshot
from fairlead.evaluation import SavedEvaluation
from fairlead.registry import Approval, ApprovalState, Version
from fairlead.serving import Decision


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A feature value of a decision: how old it was (None: given with the request), and what declared it."""

    name: str
    value: float | int | str | bool | None
    age_s: float | None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, from the answer back to its rows, model, data, code, evaluation, and who approved it.

    ``missing`` names in words every part of the chain that could not be found; nothing is invented in its place.
    """

    decision: Decision
    features: tuple[Used, ...]
    version: Version | None
    snapshots: tuple[Snapshot, ...]
    evaluation: SavedEvaluation | None
    approval: Approval | None
    approval_state: ApprovalState | None
    explained_at: datetime
    missing: tuple[str, ...] = ()

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.decision.result)


# --- model cards -----------------------------------------------------------------------------------------------------

Value = float | int | str | bool | None


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a card. ``source`` is where it was read: the record and the JSON pointer in it, ``member#/a/b``.

    ``sum_of`` names the sources of a number that is the sum of others. ``state``: read from a record (``auto``), typed
    in by a person (``declared``), or provided by nobody (``missing``).
    """

    name: str
    value: Value = None
    state: Literal["auto", "declared", "missing"] = "missing"
    source: str = ""
    sum_of: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a card's table: what it is about, and its values."""

    label: str
    cells: tuple[Fact, ...]


class CardTable(msgspec.Struct, frozen=True, kw_only=True):
    """Values side by side. ``columns`` are headings: the first that of the labels, then one for each cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A chapter of a card."""

    title: str
    facts: tuple[Fact, ...] = ()
    tables: tuple[CardTable, ...] = ()


class CardRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that a card quotes: its name in an evidence pack, its digest, and the event that vouches for it.

    ``position`` is None for the events themselves, each of which is its own evidence.
    """

    member: str
    kind: str
    id: str
    digest: str
    position: int | None = None
    href: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A model card as of a position of the ledger. What nobody provided is there as ``missing``."""

    ref: str
    origin: str
    position: int
    sections: tuple[Section, ...]
    records: tuple[CardRecord, ...]
    missing: tuple[str, ...] = ()

    def section(self, title: str) -> Section:
        return next(section for section in self.sections if section.title == title)
