"""The nouns of evaluation: a measured value with its interval, slices, the whole evaluation, comparison and verdict."""

from datetime import datetime
from typing import Literal

import msgspec

from trimtab.evaluation.blocks import Blocks
from trimtab.evaluation.maturity import Maturity
from trimtab.evaluation.metrics import Task


class MetricValue(msgspec.Struct, frozen=True, kw_only=True):
    """One number with its interval and the method that gave it.

    ``value`` is None when the metric is not defined on these rows, and ``why`` says so. ``n`` is what the number
    rests on: rows, or for a proportion the count that it is a share of (positives for recall).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    method: str = ""
    why: str = ""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of the rows with one value of a column; below the minimum of rows none, and ``why``."""

    value: str
    n: int
    positives: int | None = None
    metrics: dict[str, MetricValue] = {}
    why: str = ""


class SliceFinding(msgspec.Struct, frozen=True, kw_only=True):
    """The worst slice of a column, or the gap between its highest and lowest slice: the number, and whose it is.

    The interval knows that the slices were picked: it holds whichever of them is truly the worst, or the highest and
    the lowest.
    """

    metric: str
    by: str
    value: MetricValue
    slices: tuple[str, ...] = ()
    """The worst slice; or for a gap the lowest, then the highest."""
    chance: float | None = None
    """For a gap: how large a one chance alone gives at these sizes in 19 of 20 cases."""


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """How differently the groups of one column are treated; each is a difference, 0 is equal treatment.

    ``demographic_parity``: selection rates. ``equal_opportunity`` and ``recall_gap``: true positive rates.
    ``equalised_odds``: the larger of the gaps in true and in false positive rate.
    """

    by: str
    at_least: int
    demographic_parity: SliceFinding
    equal_opportunity: SliceFinding
    equalised_odds: SliceFinding
    recall_gap: SliceFinding


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of equal mass: what was predicted on average, and what came, with a Wilson interval."""

    predicted: float
    observed: float
    low: float
    high: float
    n: int


class RocPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold: rows at or above it are decided positive. The first point has none (decide nobody)."""

    threshold: float | None
    false_positive_rate: float
    true_positive_rate: float


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """How predictions lie: counts between consecutive edges, and for classification how many of each were positive."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    positives: tuple[int, ...] | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured of one model's predictions on one set of rows. Made by ``evaluate``."""

    task: Task
    n: int
    positives: int | None
    at: float
    """Threshold: a row is decided positive when its probability is at or above it."""
    quantile: float
    confidence: float
    seed: int
    resamples: int
    slice_minimum: int
    rows: str
    """Digest of the rows, in order: two evaluations can be compared only when it is the same."""
    metrics: dict[str, MetricValue]
    slices: dict[str, tuple[Slice, ...]]
    fairness: dict[str, Fairness]
    reliability: tuple[ReliabilityBin, ...]
    roc: tuple[RocPoint, ...]
    histogram: Histogram | None
    maturity: Maturity = Maturity()
    """At what age the labels of these rows are final; only such rows are among them."""
    mature_through: datetime | None = None
    """The newest decision that could be among them: all that were taken up to then had time to become final."""
    days: Blocks | None = None
    """Log loss or squared error day by day (UTC); None without moments."""
    measured_at: datetime | None = None
    """When it was measured. Not part of a saved report, so that the same measurement has the same digest."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Challenger minus champion on the same rows, paired. ``better`` only when the interval leaves zero out."""

    champion: float | None
    challenger: float | None
    difference: MetricValue
    better: Literal["champion", "challenger", "undecided"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Champion against challenger, metric by metric. Made by ``compare``."""

    task: Task
    n: int
    rows: str
    at: float
    confidence: float
    seed: int
    resamples: int
    metrics: dict[str, Difference]
    blocks: Blocks | None = None
    """Challenger minus champion in log loss or squared error, over blocks of six hours; None without moments."""


class EvidenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One condition, judged: ``text`` is a sentence to read aloud; ``why`` says what stood in the way of an answer."""

    text: str
    condition: str
    """The condition as it was declared, in words."""
    observed: float | None
    threshold: float | None
    passed: bool
    why: str = ""
    n: int = 0
    low: float | None = None
    high: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says: passed only if every line passed. ``policy`` is the digest of the conditions."""

    passed: bool
    lines: tuple[EvidenceLine, ...]
    policy: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The document that is kept: what was measured and judged, of which bytes, on which data, by which code."""

    model_digest: str
    dataset_digest: str
    code_digest: str
    evaluation: Evaluation
    verdict: Verdict | None = None
    comparison: Comparison | None = None


class EvaluationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A saved report as a list shows it. ``digest`` is that of the report's bytes in the blob store."""

    id: str
    digest: str
    model_digest: str
    dataset_digest: str
    code_digest: str
    rows: str
    task: Task
    n: int
    seed: int
    passed: bool | None
    verdict_digest: str | None
    policy_digest: str | None
    headline: dict[str, MetricValue]
    measured_at: datetime
    saved_at: datetime
    saved_by: str
    event_id: str


class SavedEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A saved report, read back and verified."""

    record: EvaluationRecord
    report: Report
