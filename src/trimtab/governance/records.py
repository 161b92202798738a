"""The nouns of governance: why a decision was taken, cards, differences, maturity."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trimtab.data import Snapshot
from trimtab.evaluation import SavedEvaluation
from trimtab.registry import Approval, ApprovalState, Version
from trimtab.serving import Decision


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
    in by a person (``declared``), or provided by nobody (``missing``). A record may say that there is none: then the
    value is None, and the state is not ``missing``.
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


# --- differences -----------------------------------------------------------------------------------------------------


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same in two versions; None where one of them has no such thing."""

    name: str
    was: Value
    now: Value
    delta: float | None = None
    """``now`` minus ``was``, of numbers."""


class DiffSection(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in one respect, of how many things that were compared; ``note`` says what limits the comparison."""

    title: str
    compared: int
    differences: tuple[Difference, ...]
    note: str = ""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """How a version differs from another, as of a position of the ledger, respect by respect."""

    was: str
    now: str
    position: int
    sections: tuple[DiffSection, ...]
    missing: tuple[str, ...] = ()

    def section(self, title: str) -> DiffSection:
        return next(section for section in self.sections if section.title == title)


# --- maturity --------------------------------------------------------------------------------------------------------


class ProofOf(msgspec.Struct, frozen=True, kw_only=True):
    """An event that shows a capability in use: its place and id in the ledger, its type, and what it is about."""

    position: int
    event: str
    type: str
    subject: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One capability: whether facts show it, which, and if none do, what is missing and what to do about it.

    ``effort`` orders missing steps, the cheapest first: 1 a command, 2 a few declared lines, 3 time in operation,
    4 a change of how people work.
    """

    level: int
    name: str
    met: bool
    proof: tuple[ProofOf, ...] = ()
    why: str = ""
    next: str = ""
    effort: int = 1


class Maturity(msgspec.Struct, frozen=True, kw_only=True):
    """How far the operation of one model has come, by facts alone, as of a position of the ledger.

    ``level`` is the highest of 0, 1 and 2 of which, and of those below it, every check is met; None before that.
    ``version`` is the one that was looked at: the champion, or before there is one the newest.
    """

    model: str
    level: int | None
    version: str | None
    position: int
    checks: tuple[Check, ...]
    unjudged: tuple[str, ...]

    @property
    def next(self) -> Check | None:
        """The cheapest missing step to the next level."""
        open_ = [check for check in self.checks if not check.met]
        lowest = min((check.level for check in open_), default=0)
        return min((check for check in open_ if check.level == lowest), key=lambda check: check.effort, default=None)


# --- lineage ---------------------------------------------------------------------------------------------------------


class LineageNode(msgspec.Struct, frozen=True, kw_only=True):
    """Something that others were made from or made into. ``id`` is ``kind:name``, as ``lineage`` takes it.

    ``position`` is that of the event that brought it about, ``said`` a few words about it as of then.
    """

    id: str
    kind: str
    name: str
    said: str = ""
    position: int | None = None
    digest: str | None = None


class LineageEdge(msgspec.Struct, frozen=True, kw_only=True):
    """``target`` depends on ``source``; ``how`` says in words, ``position`` which event shows it."""

    source: str
    target: str
    how: str
    position: int | None = None


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a subject depends on and everything that depends on it, as of a position of the ledger.

    Nodes stand in the order of their dependence, sources first. ``missing`` names in words what could not be followed.
    """

    subject: str
    position: int
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    missing: tuple[str, ...] = ()

    def node(self, id: str) -> LineageNode | None:
        return next((node for node in self.nodes if node.id == id), None)

    def of(self, kind: str) -> tuple[LineageNode, ...]:
        """Return the nodes of a kind."""
        return tuple(node for node in self.nodes if node.kind == kind)
