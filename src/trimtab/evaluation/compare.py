"""Champion against challenger on the same rows, paired.

What both get right or wrong alike does not blur the difference.
"""

import math
from typing import Any, Literal

import numpy as np

from trimtab.evaluation import intervals, resample
from trimtab.evaluation.blocks import QUARTER_S, Blocks, blocks_of, micros
from trimtab.evaluation.metrics import (
    LOWER_IS_BETTER,
    NEITHER_IS_BETTER,
    PROPORTIONS,
    Array,
    Flags,
    Task,
    counts,
    metrics_of,
    range_of,
    row_losses,
    value_of,
)
from trimtab.evaluation.records import Comparison, Difference, MetricValue
from trimtab.evaluation.rows import labels, predictions, rows_digest
from trimtab.evaluation.wording import count
from trimtab.evaluation.zero_variance import f1_interval, unvaried_interval, varies
from trimtab.kernel import Refused


class OtherRows(Refused):
    """Two models were not measured on the same rows."""

    code = "evaluation.other-rows"
    default_why = "On other rows a better number can be luck: a comparison is paired, row by row."
    default_next = "predict the champion's and the challenger's answers for the same rows, in the same order"


def compare(
    *,
    task: Task,
    y: Any,
    champion: Any,
    challenger: Any,
    champion_rows: str = "",
    challenger_rows: str = "",
    moments: Any = None,
    at: float = 0.5,
    quantile: float = 0.5,
    seed: int = 0,
    confidence: float = 0.95,
    resamples: int = 1000,
) -> Comparison:
    """Measure challenger minus champion for each metric: paired DeLong for the AUC, else a paired bootstrap.

    ``champion`` and ``challenger`` are their predictions for the rows of ``y``. ``champion_rows`` and
    ``challenger_rows`` are the digests of the rows that were predicted; raises ``OtherRows`` when they differ.
    ``moments`` are when the rows were decided (``datetime64`` in UTC, or microseconds since 1970): with them the
    comparison says how the difference varies from block to block.
    """
    if champion_rows and challenger_rows and champion_rows != challenger_rows:
        raise OtherRows(
            f"the champion was measured on rows {champion_rows[:19]}…, the challenger on {challenger_rows[:19]}…",
            where="compare",
        )
    truth = labels(y, task=task)
    if np.size(champion) != np.size(challenger):
        raise OtherRows(
            f"the champion predicted {count(np.size(champion))} rows, the challenger {count(np.size(challenger))}",
            where="compare",
        )
    first = predictions(champion, task=task, n=truth.size)
    second = predictions(challenger, task=task, n=truth.size)
    pair = _Pair(task, truth, first, second, at=at, quantile=quantile, confidence=confidence)
    drawn = resample.resamples_for(truth.size, resamples)
    return Comparison(
        task=task, n=truth.size, rows=champion_rows or challenger_rows or rows_digest(truth), at=at,
        confidence=confidence, seed=seed, resamples=drawn, metrics=pair.differences(drawn, seed=seed),
        blocks=None if moments is None else pair.blocks(micros(moments)),
    )  # fmt: skip


class _Pair:
    """The same rows, predicted twice."""

    def __init__(
        self,
        task: Task,
        y: Flags | Array,
        first: Array,
        second: Array,
        *,
        at: float,
        quantile: float,
        confidence: float,
    ) -> None:
        self.task, self.y, self.first, self.second = task, y, first, second
        self.at, self.quantile, self.confidence = at, quantile, confidence

    def differences(self, resamples: int, *, seed: int) -> dict[str, Difference]:
        both = np.concatenate([self.first, self.second])
        broken = int((~np.isfinite(both)).sum())
        if broken or not self.y.size:
            why = f"{count(broken)} predictions are not finite numbers" if broken else "there are no rows"
            nothing = MetricValue(value=None, n=self.y.size, why=why)
            return {
                name: Difference(champion=None, challenger=None, difference=nothing, better="undecided")
                for name in metrics_of(self.task)
            }
        samples = [self._sample(self.first), self._sample(self.second)]
        champion, challenger = resample.draw(samples, n=self.y.size, resamples=resamples, seed=seed)
        resampled = resample.differences(champion, challenger)
        return {name: self._difference(name, resampled) for name in metrics_of(self.task)}

    def blocks(self, moments_us: Any) -> Blocks:
        """Return the difference of both losses block by block."""
        first, second = (row_losses(self.task, self.y, p) for p in (self.first, self.second))
        return blocks_of(second - first, moments_us, span_s=QUARTER_S)

    def _sample(self, p: Array) -> resample.Weighed:
        order = np.argsort(-p, kind="stable")
        y = self.y[order]
        if self.task == "classification":
            weigh = resample.classification_sample(y.astype(bool), p[order], at=self.at)
        else:
            weigh = resample.regression_sample(y.astype(np.float64), p[order], quantile=self.quantile)
        return resample.in_order(weigh, order)

    def _difference(self, name: str, resampled: dict[str, Array]) -> Difference:
        n = self.y.size
        champion = value_of(name, self.y, self.first, at=self.at, quantile=self.quantile)
        challenger = value_of(name, self.y, self.second, at=self.at, quantile=self.quantile)
        value = challenger - champion
        if not math.isfinite(value):
            whose = "the champion" if not math.isfinite(champion) else "the challenger"
            nothing = MetricValue(value=None, n=n, why=f"{name} of {whose} is not defined on these rows")
            return Difference(
                champion=_finite(champion), challenger=_finite(challenger), difference=nothing, better="undecided"
            )
        size = max(abs(champion), abs(challenger))
        bounds, method = self._bounds(name, value, resampled, size=size)
        low, high = bounds or (None, None)
        difference = MetricValue(
            value=value, low=low, high=high, n=n, method=method if bounds else "",
            why="" if bounds else "too few rows for an interval",
        )  # fmt: skip
        better = _better(name, bounds)
        return Difference(champion=champion, challenger=challenger, difference=difference, better=better)

    def _bounds(
        self, name: str, value: float, resampled: dict[str, Array], *, size: float
    ) -> tuple[tuple[float, float] | None, str]:
        if name == "auc":
            found = intervals.auc_difference_interval(
                self.y.astype(bool), self.first, self.second, confidence=self.confidence
            )
            return found, intervals.DELONG_PAIRED
        if not np.array_equal(self.first, self.second) and not varies(size, resampled[name]):
            return self._unvaried(name), f"{intervals.MOVER}, since no resample differs"
        lowest, highest = range_of(name)
        bounds = resample.interval(
            value, resampled[name], n=self.y.size, confidence=self.confidence, least=lowest - highest,
            most=highest - lowest,
        )  # fmt: skip
        return bounds, f"paired bootstrap, percentile, {resampled[name].size} resamples"

    def _unvaried(self, name: str) -> tuple[float, float] | None:
        """Return the interval of a difference that is the same in every resample, from those of both models."""
        ends = []
        for p in (self.first, self.second):
            value = value_of(name, self.y, p, at=self.at, quantile=self.quantile)
            found = self._own_interval(name, value, p)
            if found is None:
                return None
            ends.append((value, found[0], found[1]))
        low, high = intervals.mover(ends[0], ends[1])
        lowest, highest = range_of(name)
        return max(low, lowest - highest), min(high, highest - lowest)

    def _own_interval(self, name: str, value: float, p: Array) -> tuple[float, float] | None:
        if name in PROPORTIONS:
            return intervals.wilson(*counts(name, self.y.astype(bool), p, at=self.at), confidence=self.confidence)
        found = (
            f1_interval(self.y.astype(bool), p, at=self.at, confidence=self.confidence)
            if name == "f1"
            else unvaried_interval(
                name, value, self.task, self.y, p, quantile=self.quantile, confidence=self.confidence
            )
        )
        return found[:2] if found is not None else None


def _better(name: str, bounds: tuple[float, float] | None) -> Literal["champion", "challenger", "undecided"]:
    if bounds is None or name in NEITHER_IS_BETTER or bounds[0] <= 0.0 <= bounds[1]:
        return "undecided"
    return "challenger" if (bounds[0] > 0.0) != (name in LOWER_IS_BETTER) else "champion"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
