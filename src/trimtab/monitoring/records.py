"""The nouns of monitoring: outcomes, windows, performance, paired comparisons, drift, failures and alerts."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trimtab.evaluation import MetricValue, Task
from trimtab.serving import Stage

Estimate = MetricValue
"""A measured value with its interval: ``value``, ``low``, ``high``, and the ``n`` rows that it rests on."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a decision: named by its id, or by its key.

    ``value`` is the truth as a number: 1 or 0 for a classifier (1 is the class whose probability it answers), else the
    number that was predicted. ``known_at`` is when it became known (None: now); of several outcomes of a decision the
    one known last counts. ``key`` holds every key column; it means every decision about it so far or, with ``at``, the
    one whose features are as of that moment.
    """

    value: float
    decision: str | None = None
    key: dict[str, Any] | None = None
    at: datetime | None = None
    known_at: datetime | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of outcomes that were recorded, counted by decision.

    ``unchanged`` were known before, or something later was. ``event`` is the ledger's, None when nothing was new.
    """

    new: int
    corrected: int
    unchanged: int
    event: str | None = None


class WindowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version in one stage during one hour: its decisions, and how many of them have an outcome by now."""

    endpoint: str
    version: int
    stage: Stage
    since: datetime
    until: datetime
    n: int
    labelled: int


class SlicePerformance(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of the decisions with one value of a column; below the minimum of rows none, and ``why``."""

    value: str
    n: int
    metrics: dict[str, Estimate] = {}
    why: str = ""


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """How well a version did on the decisions of [since, until), as far as their outcomes are known and final.

    ``version`` None: whatever answered. ``decisions`` are all of them, ``labelled`` those with a known outcome that had
    the time to become final: that were taken before ``mature_until``, which is ``matures_s`` seconds ago (0: an outcome
    is final as soon as it is known). ``waiting`` is the share of decisions that are not labelled, None without
    decisions. ``predicted`` and ``observed`` among the metrics are means over the labelled decisions.
    """

    endpoint: str
    version: int | None
    since: datetime
    until: datetime
    task: Task | None
    decisions: int
    labelled: int
    waiting: float | None
    metrics: dict[str, Estimate] = {}
    slices: dict[str, tuple[SlicePerformance, ...]] = {}
    matures_s: float = 0.0
    mature_until: datetime | None = None

    def value(self, metric: str) -> float | None:
        """Return a metric's value; None when it was not measured."""
        found = self.metrics.get(metric)
        return found.value if found else None


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """Challenger against champion on the same rows of [since, until): answered by one, mirrored to the other.

    ``rows`` are those that both decided on, ``n`` those of them with an outcome. ``metric`` is what ``difference``
    (challenger minus champion) is of: log loss, or squared error. ``e_value`` is evidence against "the challenger is
    no worse than the champion", and ``better_e_value`` against "it is no better"; each may be looked at as often as one
    likes: 20 is enough to act on (``paired_evidence`` says how often chance gets there). They rest on ``blocks`` of six
    hours with outcomes, and on ``past_blocks`` of the test span, which tell how blocks differ when nothing is wrong.
    """

    endpoint: str
    challenger: int
    champion: int
    since: datetime
    until: datetime
    metric: Literal["log_loss", "squared_error"] | None
    rows: int
    n: int
    champion_loss: float | None
    challenger_loss: float | None
    difference: Estimate
    e_value: float = 1.0
    better_e_value: float = 1.0
    blocks: int = 0
    past_blocks: int = 0


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """How a version did as a service in [since, until), minute by minute as its gateways counted.

    ``requests`` are all that it was asked, ``errors`` those of them that failed, ``error_rate`` their share (None
    without any). Latencies are seconds for a whole answered request, right to 3 %.
    """

    endpoint: str
    version: int
    since: datetime
    until: datetime
    requests: int
    rows: int
    errors: int
    error_rate: float | None
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


# --- alerts ----------------------------------------------------------------------------------------------------------

AlertKind = Literal["drift", "performance", "quality", "skew", "service", "release"]
Severity = Literal["page", "note"]
"""A page asks a person to act and is sent; a note is only shown."""
AlertState = Literal["open", "acknowledged", "resolved"]


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a check found. Signs of one ``group`` are one alert for as long as any check finds them."""

    kind: AlertKind
    group: str
    severity: Severity
    title: str
    """One sentence."""
    lines: tuple[str, ...] = ()
    """What was seen, a line for each column, day or row."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong at an endpoint, from the check that found it to the one that found it gone.

    ``sent`` is whether its targets were told; ``silenced_until`` until when they are not.
    """

    id: str
    endpoint: str
    kind: AlertKind
    group: str
    severity: Severity
    state: AlertState
    title: str
    lines: tuple[str, ...]
    raised_at: datetime
    sent: bool = False
    silenced_until: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    because: str = ""
    """What whoever acknowledged it said."""
    resolved_at: datetime | None = None


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is sent for alerts of these groups (``drift``, ``quality:*``, ``*``) until then; they are shown."""

    id: str
    endpoint: str
    groups: str
    until: datetime
    by: str
    because: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one target: ``due_at`` is the next try, None once it is delivered or given up."""

    id: str
    alert: str
    target: str
    attempts: int
    due_at: datetime | None
    delivered_at: datetime | None
    failure: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found, and which alerts it raised and resolved."""

    endpoint: str
    at: datetime
    signs: tuple[Sign, ...] = ()
    raised: tuple[Alert, ...] = ()
    resolved: tuple[Alert, ...] = ()
