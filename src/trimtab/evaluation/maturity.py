"""When labels are final: how long each outcome takes to become known, from rows of which the youngest say too little.

A fraud is reported within days; that a payment was honest is known when a month has passed without a report. Whoever
asks only "is the outcome known" sees, of the last month, almost nothing but frauds. A label is *mature* at the age at
which every outcome would be known; younger rows tell which outcomes are quick, and nothing of how often they come.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.declare import duration_text
from trimtab.evaluation.metrics import Task

Floats = NDArray[np.float64]

LEAST = 50
"""Known rows of each outcome below which nothing is said about its delay."""
FEWEST_AT_RISK = 20
SHARE = 0.99
"""A label counts as final at the age at which this share of the slowest outcome is known."""
WINDOW_S = 7 * 86400.0
MATERIAL = 0.02
"""What part of ``WINDOW_S`` one outcome may be known before the other without moving a figure that matters."""
HOUR_S, DAY_S = 3600.0, 86400.0


class OutcomeDelay(msgspec.Struct, frozen=True, kw_only=True):
    """How long one outcome takes to become known, from the decision on, in seconds; ``n`` rows were known."""

    outcome: str
    n: int
    median_s: float
    p99_s: float


class Maturity(msgspec.Struct, frozen=True, kw_only=True):
    """At what age labels are final: ``after_s`` seconds after the decision, 0 as soon as they are known.

    ``by`` says who says so: the declaration (``declared``), a ``column`` of the rows, or what was ``measured``.
    ``outcomes`` are measured wherever there are enough rows; ``uneven`` is the part of a week by which one outcome is
    known before the other, 0 to 1, and from 0.02 on it matters.
    """

    after_s: float = 0.0
    by: Literal["declared", "column", "measured"] = "measured"
    outcomes: tuple[OutcomeDelay, ...] = ()
    uneven: float = 0.0

    @property
    def is_too_soon(self) -> bool:
        """Whether a declared age is shorter than one of the outcomes takes, which tells more of delays than of rows."""
        return self.by != "measured" and self.uneven >= MATERIAL and self.after_s < self.slowest_s

    @property
    def slowest_s(self) -> float:
        """The age at which 99 % of the slowest outcome are known, rounded up to whole hours, or days from two on."""
        return _rounded(max((one.p99_s for one in self.outcomes), default=0.0))

    @property
    def warning(self) -> str:
        """What is wrong with figures of labels that were declared final too soon; nothing where they were not."""
        if not self.is_too_soon:
            return ""
        slowest = max(self.outcomes, key=lambda one: one.p99_s)
        declared, takes = (duration_text(round(seconds)) for seconds in (self.after_s, self.slowest_s))
        return (
            f"Labels were taken for final {declared} after the decision, but {slowest.outcome} takes up to {takes} to "
            f"become known: these figures lean to what is known first"
        )


class KnownShare:
    """The share of rows that are known at an age. Made by ``known_share``."""

    def __init__(self, ages_s: Floats, shares: Floats) -> None:
        self.ages_s, self.shares = ages_s, shares

    def __call__(self, age_s: Any) -> Floats:
        """Return the share that is known at each age, 0 to 1."""
        at = np.searchsorted(self.ages_s, np.asarray(age_s, np.float64), side="right")
        found: Floats = np.concatenate(([0.0], self.shares))[at]
        return found

    def age_of(self, share: float) -> float:
        """Return the least age at which at least this share is known."""
        return float(self.ages_s[min(int(np.searchsorted(self.shares, share - 1e-12)), self.ages_s.size - 1)])


def known_share(delay_s: Floats, age_s: Floats) -> KnownShare:
    """Estimate how many rows are known at which age, from the rows that are known by now.

    ``delay_s`` is how long each took to become known and ``age_s`` how old it is now, so that no delay is larger than
    its age: slow ones are missing among the young. The product-limit estimator for data that are truncated on the
    right (Lynden-Bell 1971; Woodroofe 1985): ``F(d) = product over x > d of (1 - n(x) / R(x))``, where ``n(x)`` rows
    had the delay x, and ``R(x)`` rows had one of at most x and were old enough to show x. It says how delays lie among
    those that an age as great as the oldest rows' can show; what takes longer than that is not there at all, and what
    fewer than 20 rows are old enough to show is left out.
    """
    delays, counts = np.unique(delay_s, return_counts=True)
    if not delays.size:
        return KnownShare(np.zeros(0), np.zeros(0))
    at_risk = np.cumsum(counts) - np.searchsorted(np.sort(age_s), delays, side="left")
    with np.errstate(divide="ignore"):  # where every row at risk had one delay, nothing lies below it
        kept = np.where(at_risk >= FEWEST_AT_RISK, np.log1p(-counts / at_risk), 0.0)
    above = np.concatenate((np.cumsum(kept[:0:-1])[::-1], [0.0]))
    return KnownShare(delays, np.exp(above))


def measured_maturity(task: Task, y: Any, delay_s: Any, age_s: Any) -> Maturity:
    """Measure how late each outcome of known rows became known, and from that at what age labels are final.

    Arrays of one entry for each row that is known now: its outcome, the seconds from its decision until it was known,
    and until now. The outcomes of a regression are those up to the median and above it. ``after_s`` is 0 where both
    become known at nearly the same age, and without 50 rows of each.
    """
    outcomes, delays, ages = (np.asarray(one, np.float64) for one in (y, delay_s, age_s))
    named = _parts(task, outcomes)
    if min((int(rows.sum()) for _, rows in named), default=0) < LEAST:
        return Maturity()
    curves = [known_share(delays[rows], ages[rows]) for _, rows in named]
    found = Maturity(
        outcomes=tuple(
            OutcomeDelay(outcome=name, n=int(rows.sum()), median_s=curve.age_of(0.5), p99_s=curve.age_of(SHARE))
            for (name, rows), curve in zip(named, curves, strict=True)
        ),
        uneven=_apart(curves[0], curves[1]),
    )
    return msgspec.structs.replace(found, after_s=found.slowest_s) if found.uneven >= MATERIAL else found


def inverse_weights(task: Task, y: Any, age_s: Any, curves: Sequence[KnownShare], *, least: float) -> Floats:
    """Return for each known row the inverse of how probable it was to be known at its age, given its outcome.

    0 for ages at which either outcome is known with a probability below ``least``: no row stands for those that are
    not known then. A sum over rows weighted so is right on average (Horvitz and Thompson 1952) as long as the delay
    depends on the outcome alone.
    """
    outcomes, ages = np.asarray(y, np.float64), np.asarray(age_s, np.float64)
    known = np.array([curve(ages) for curve in curves])
    own = np.select([rows for _, rows in _parts(task, outcomes)], list(known), 0.0)
    usable = known.min(axis=0) >= least
    found: Floats = np.divide(1.0, own, out=np.zeros(ages.size), where=usable & (own > 0))
    return found


def curves_of(task: Task, y: Any, delay_s: Any, age_s: Any) -> tuple[KnownShare, ...]:
    """Return how many are known at which age, for each outcome in the order of ``inverse_weights``."""
    outcomes, delays, ages = (np.asarray(one, np.float64) for one in (y, delay_s, age_s))
    return tuple(known_share(delays[rows], ages[rows]) for _, rows in _parts(task, outcomes))


def _parts(task: Task, y: Floats) -> list[tuple[str, NDArray[np.bool_]]]:
    if task == "classification":
        return [("False", y <= 0.5), ("True", y > 0.5)]
    middle = float(np.median(y)) if y.size else 0.0
    return [(f"up to {middle:.4g}", y <= middle), (f"above {middle:.4g}", y > middle)]


def _apart(first: KnownShare, second: KnownShare) -> float:
    """Return the mean difference between two shares over the ages of a week."""
    ages = np.unique(np.concatenate(([0.0, WINDOW_S], first.ages_s, second.ages_s)))
    ages = ages[(ages >= 0) & (ages <= WINDOW_S)]
    apart = np.abs(first(ages[:-1]) - second(ages[:-1]))
    return float((apart * np.diff(ages)).sum() / WINDOW_S)


def _rounded(seconds: float) -> float:
    unit = DAY_S if seconds > 2 * DAY_S else HOUR_S
    return math.ceil(round(seconds / unit, 6)) * unit
