"""The user's file as frozen values: what was declared, with no I/O and no behaviour beyond names and digests.

Every struct here is hashable, JSON-encodable and compared by value. Fields named ``where`` (file and line of the
declaration) serve error messages only and are left out of digests.
"""

from enum import StrEnum
from typing import Any, Literal

import msgspec


class Spec(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    """Base of every declared value."""


# --- contracts and sources -----------------------------------------------------------------------------------------


class FieldKind(StrEnum):
    KEY = "key"
    EVENT_TIME = "event_time"
    TIME = "time"
    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    CATEGORY = "category"
    TEXT = "text"


class FieldSpec(Spec, frozen=True, tag="field_spec"):
    """One promised column. A row outside ``low..high`` or ``values`` breaks the contract and is set aside.

    ``missing`` is the largest promised share of nulls in a snapshot (None: no promise). ``known_at`` names the
    time column that says when the value became known; None means: at the row's event time.
    """

    name: str
    kind: FieldKind
    value_type: Literal["text", "int"] = "text"
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None
    missing: float | None = 0.0
    known_at: str | None = None
    where: str = ""


class ContractSpec(Spec, frozen=True, tag="contract"):
    """What a table of facts promises: at least one key, exactly one event time, and its other columns."""

    name: str
    fields: tuple[FieldSpec, ...]
    description: str = ""
    where: str = ""

    def field(self, name: str) -> FieldSpec | None:
        return next((field for field in self.fields if field.name == name), None)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if field.kind is FieldKind.KEY)

    @property
    def event_time(self) -> str:
        return next(field.name for field in self.fields if field.kind is FieldKind.EVENT_TIME)


class SourceSpec(Spec, frozen=True, tag="source"):
    """Where a contract's rows come from: a function (by its name in the user's file), a path or a SQL query."""

    name: str
    contract: ContractSpec
    function: str | None = None
    path: str | None = None
    sql: str | None = None
    every_s: float | None = None
    set_aside_limit: float = 0.01
    """Largest share of rows that may break the contract before the snapshot is refused."""
    code: str = ""
    """Digest of the function's source text, or of the query."""
    where: str = ""


# --- feature columns -----------------------------------------------------------------------------------------------


class Field(Spec, frozen=True, tag="field"):
    """A column of the row itself (when its contract is the view's own) or of another contract, inside an aggregate."""

    contract: str
    field: str


class TimePart(Spec, frozen=True, tag="time_part"):
    """A calendar part, in UTC, of a time column of the view's own contract. ``weekday`` is 0 for Monday."""

    of: Field
    part: Literal["minute", "hour", "weekday", "day", "month", "quarter", "year"]


class Latest(Spec, frozen=True, tag="latest"):
    """The newest row of ``contract`` (by event time) known at the decision, of the same ``by``; one column a field.

    ``within_s`` is the greatest age, decision minus event time, in seconds; an older row counts as no row.
    """

    contract: str
    fields: tuple[str, ...]
    by: tuple[str, ...]
    within_s: float | None = None


class Rolling(Spec, frozen=True, tag="rolling"):
    """An aggregate of the values that became known in the ``over_s`` seconds up to and including the decision.

    Rows are those of ``contract`` with the same ``by`` values, the deciding row included only by its own known
    time. Nulls are left out; an empty window is 0 for ``count`` and null for the rest.
    """

    contract: str
    field: str
    function: Literal["mean", "sum", "count", "min", "max", "std"]
    over_s: float
    by: tuple[str, ...]


class Constant(Spec, frozen=True, tag="constant"):
    value: float | int | str | bool


class Arithmetic(Spec, frozen=True, tag="arithmetic"):
    """``left op right`` over columns and constants; null if either side is null, and for a division by zero."""

    op: Literal["+", "-", "*", "/"]
    left: "Operand"
    right: "Operand"


class Comparison(Spec, frozen=True, tag="comparison"):
    """``left op right`` over columns and constants; null if either side is null."""

    op: Literal["<", "<=", ">", ">=", "==", "!="]
    left: "Operand"
    right: "Operand"


class Derived(Spec, frozen=True, tag="derived"):
    """A named column computed from other columns when the row is asked for."""

    name: str
    expression: "Arithmetic | Comparison"


Column = Field | TimePart | Latest | Rolling | Derived
Operand = Field | TimePart | Latest | Rolling | Constant | Arithmetic | Comparison


class FeatureViewSpec(Spec, frozen=True, tag="features"):
    """The columns that a model may know about a row of ``of`` at its moment of decision.

    That moment is ``decided`` (a time column of ``of``) plus ``decided_offset_s`` seconds (negative: before).
    """

    name: str
    of: ContractSpec
    decided: str
    decided_offset_s: float
    columns: tuple[Column, ...]
    contracts: tuple[ContractSpec, ...]
    """Every contract that the columns read, ``of`` first."""
    owner: str = ""
    description: str = ""
    where: str = ""

    def contract(self, name: str) -> ContractSpec:
        return next(contract for contract in self.contracts if contract.name == name)


# --- metrics and policies ------------------------------------------------------------------------------------------


class Metric(Spec, frozen=True, tag="metric"):
    """A measured quantity: ``auc``, ``log_loss``, ``latency.p99``, ``errors``, ``drift.of_prediction``, ...

    ``of`` says whose: the candidate's own (``self``), the champion's on the same rows, or the value that was
    measured at approval. ``slice_by`` with ``worst`` or ``gap`` looks over the slices of a column with at least
    ``at_least`` rows; ``gap_beyond_chance`` is the part of a gap that chance does not explain. ``over_s`` is the window
    of a monitored metric. ``feature`` is the column of ``drift.of``.
    """

    name: str
    of: Literal["self", "champion", "at_approval"] = "self"
    over_slices: Literal["worst", "gap", "gap_beyond_chance"] | None = None
    slice_by: str | None = None
    at_least: int = 0
    over_s: float | None = None
    feature: str | None = None


class AtApproval(Spec, frozen=True, tag="at_approval"):
    """The value, at approval, of the metric on the other side of the comparison."""


class Scaled(Spec, frozen=True, tag="scaled"):
    """A metric times a factor plus an offset: ``champion.log_loss * 1.03``."""

    metric: Metric | AtApproval
    factor: float = 1.0
    plus: float = 0.0


class Threshold(Spec, frozen=True, tag="threshold"):
    """A plain number, with the text that the user wrote when it had a unit (``20ms`` is 0.02 seconds)."""

    value: float
    text: str = ""


class Condition(Spec, frozen=True, tag="condition"):
    """``left op right``: one line of a policy, and one line of evidence when it is judged."""

    left: Metric | Scaled
    op: Literal["<", "<=", ">", ">="]
    right: Threshold | Metric | Scaled | AtApproval


class Every(Spec, frozen=True, tag="every"):
    """True when ``seconds`` have passed since the last time: ``tt.every("30d")``."""

    seconds: float


class AnyOf(Spec, frozen=True, tag="any_of"):
    terms: tuple["Policy", ...]


class AllOf(Spec, frozen=True, tag="all_of"):
    terms: tuple["Policy", ...]


Policy = Condition | Every | AnyOf | AllOf


# --- models --------------------------------------------------------------------------------------------------------


class Span(Spec, frozen=True, tag="span"):
    """A stretch of time that ends where the next begins: the last n seconds, or all before it (None)."""

    seconds: float | None = None
    text: str = ""


class Label(Spec, frozen=True, tag="label"):
    """What is to be predicted: a comparison (classification) or a column (regression), over the view's own contract.

    A label *matures*: it is final ``matures_s`` seconds after the decision, or at the time in the column
    ``matures_at``. With neither, at what age it is final is measured.
    """

    expression: Field | Comparison
    name: str
    matures_s: float | msgspec.UnsetType = msgspec.UNSET
    matures_at: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def has_maturity(self) -> bool:
        """Whether it was declared when the label is final."""
        return bool(self.matures_s or self.matures_at)

    @property
    def task(self) -> Literal["classification", "regression"]:
        return "classification" if isinstance(self.expression, Comparison) else "regression"


class Stage(Spec, frozen=True, tag="stage"):
    """A stage of a rollout: share of traffic in percent, and what it takes to pass it.

    It holds for ``hold_s`` seconds (0 for the last), and longer until the version has seen ``decisions`` requests.
    """

    kind: Literal["shadow", "canary", "full"]
    percent: float
    hold_s: float = 0.0
    decisions: int = 0


class ServingSpec(Spec, frozen=True, tag="serving"):
    """How a version reaches people. ``broken_rows``: what becomes of rows that break their contract; unset: refused."""

    rollout: tuple[Stage, ...]
    roll_back_if: Policy | None = None
    sticky_by: str | None = None
    broken_rows: Literal["refuse", "flag"] | msgspec.UnsetType = msgspec.UNSET


class RetrainingSpec(Spec, frozen=True, tag="retraining"):
    """When to learn again: ``when`` holds without a break for ``steady_s`` seconds, the last turn began at least
    ``at_most_s`` seconds ago, and fewer than ``budget`` turns began in the last 365 days. With ``other_than_author``
    nobody approves their own work; an approval holds for ``expires_s`` seconds (unset: for good).
    """

    when: Policy
    at_most_s: float | None = None
    steady_s: float | None = None
    budget: int | None = None
    approve_by: str | None = None
    other_than_author: bool = False
    expires_s: float | msgspec.UnsetType = msgspec.UNSET


class ModelSpec(Spec, frozen=True, tag="model"):
    """How to learn: a train function over a view, its label, its spans in time, and the policies around it."""

    name: str
    view: FeatureViewSpec
    label: Label
    train: Span
    test: Span
    function: str
    """Name of the train function in the user's file: ``function(X, y, **params)`` returns a fitted model."""
    params: dict[str, Any] = {}
    accept: tuple[Condition, ...] = ()
    serving: ServingSpec | None = None
    retraining: RetrainingSpec | None = None
    seed: int = 0
    quantile: float = 0.5
    """Which quantile of a number the model predicts; the pinball loss is that of this one."""
    immature: Literal["weight"] | msgspec.UnsetType = msgspec.UNSET
    """What becomes of rows whose label is known and not final: left out (unset), or trained on by weight."""
    code: str = ""
    """Digest of the function's source text."""
    owner: str = ""
    description: str = ""
    where: str = ""

    def __hash__(self) -> int:
        # ``params`` is a mapping, which Python cannot hash; what else differs is enough to tell models apart.
        return hash((self.name, self.view, self.label, self.train, self.test, self.function, self.accept, self.code))


class ProjectSpec(Spec, frozen=True, tag="project"):
    """Everything that one file declares, each kind in the order of its declaration."""

    name: str
    sources: tuple[SourceSpec, ...] = ()
    views: tuple[FeatureViewSpec, ...] = ()
    models: tuple[ModelSpec, ...] = ()

    def source_of(self, contract: str) -> SourceSpec | None:
        return next((source for source in self.sources if source.contract.name == contract), None)
