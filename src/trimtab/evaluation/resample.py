"""The bootstrap, vectorised: resamples are columns of weights, and every metric is computed for all of them at once.

A resample of n rows is a multinomial vector of n counts. Most metrics are functions of weighted sums, so a block of
resamples costs one matrix product; the others need one weighted cumulative sum over rows that were sorted once.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.evaluation.metrics import Array, Flags, calibration_bins, log_losses, pinball_losses, unit_of

Rows = NDArray[np.intp]
Weights = NDArray[np.float32]
Weighed = Callable[[Weights], dict[str, Array]]
"""Weights (rows, resamples) to metric values (resamples), by the metric's name; NaN where not defined."""

BLOCK_CELLS = 2_000_000  # weights held at a time: 8 MB
WORK_CELLS = 40_000_000  # rows times resamples: above it, fewer resamples are drawn
FEWEST_RESAMPLES = 200
FEWEST_ROWS = 10
"""Rows below which resamples say nothing of others: of two rows an interval would hold the truth half of the time."""

# Single precision halves the memory that is moved: counts stay exact, sums keep six digits, far below their own noise.


def resamples_for(n: int, asked: int) -> int:
    """Return how many resamples to draw for n rows: those asked for, fewer (but 200) when there are very many rows."""
    return min(asked, max(FEWEST_RESAMPLES, WORK_CELLS // max(n, 1)))


def method_of(resamples: int) -> str:
    """Return the name of the bootstrap."""
    return f"bootstrap, percentile, {resamples} resamples"


def draw(samples: Sequence[Weighed], *, n: int, resamples: int, seed: int) -> list[dict[str, Array]]:
    """Weigh every sample with the same resamples of n rows; return for each the resampled values of its metrics."""
    blocks: list[list[dict[str, Array]]] = [[] for _ in samples]
    for weights in _weights(n, resamples, np.random.default_rng(seed)):
        for found, sample in zip(blocks, samples, strict=True):
            found.append(sample(weights))
    return [{name: np.concatenate([block[name] for block in found]) for name in found[0]} for found in blocks]


def interval(
    value: float, resampled: Array, *, n: int, confidence: float, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float] | None:
    """Return the interval of a value of ``n`` rows, between ``least`` and ``most``, from resampled values.

    Percentiles of few rows are too narrow, as a normal interval is: they are drawn out as Student's t is wider. None
    for fewer than ten rows, and when more than one in twenty resamples was not defined.
    """
    bounds = _percentiles(resampled, confidence) if n >= FEWEST_ROWS else None
    if bounds is None:
        return None
    # What was measured is always one of the values that are held possible.
    low, high, grow = min(bounds[0], value), max(bounds[1], value), _wider(n, confidence)
    return max(least, value - grow * (value - low)), min(most, value + grow * (high - value))


def classification_sample(y: Flags, p: Array, rows: Rows | None = None, *, at: float) -> Weighed:
    """Prepare rows (all, or a slice) for weighing. ``y`` and ``p`` lie as the weights do, highest ``p`` first."""
    if rows is not None:
        y, p = y[rows], p[rows]
    chosen = p >= at
    sums = _single([np.ones(p.size), y, chosen, y & chosen, (p - y) ** 2, log_losses(y, p)])
    average_precision = _average_precision(y, p)
    calibration = _calibration(y, p)

    def weigh(weights: Weights) -> dict[str, Array]:
        own = weights if rows is None else weights[rows]
        total, positive, marked, hits, squares, losses = (sums @ own).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "pr_auc": average_precision(own) / positive,
                "log_loss": losses / total,
                "brier": squares / total,
                "calibration_error": calibration(own) / total,
                "accuracy": (total - positive - marked + 2 * hits) / total,
                "precision": hits / marked,
                "recall": hits / positive,
                "f1": 2 * hits / (positive + marked),
                "selection_rate": marked / total,
                "true_positive_rate": hits / positive,
                "false_positive_rate": (marked - hits) / (total - positive),
            }

    return weigh


def regression_sample(y: Array, prediction: Array, rows: Rows | None = None, *, quantile: float) -> Weighed:
    """Prepare rows (all, or a slice) for weighing."""
    if rows is not None:
        y, prediction = y[rows], prediction[rows]
    # In units of about their size (a power of two, so exactly), squares stay within single precision.
    unit = unit_of(y, prediction)
    y, prediction = y / unit, prediction / unit
    error = y - prediction
    # Around the mean the two sums of the variance stay of one size and their difference keeps its digits.
    centred = y - y.mean()
    sums = _single(
        [np.ones(y.size), error**2, np.abs(error), pinball_losses(y, prediction, quantile), centred, centred**2]
    )

    def weigh(weights: Weights) -> dict[str, Array]:
        own = weights if rows is None else weights[rows]
        total, squares, absolute, losses, first, second = (sums @ own).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = second - first**2 / total
            return {
                "rmse": np.sqrt(squares / total) * unit,
                "mae": absolute / total * unit,
                "r2": np.where(spread > 1e-12 * second, 1.0 - squares / spread, np.nan),
                "pinball": losses / total * unit,
            }

    return weigh


def differences(first: Mapping[str, Array], second: Mapping[str, Array]) -> dict[str, Array]:
    """Return second minus first, resample by resample: the pairing."""
    return {name: second[name] - first[name] for name in first}


def in_order(weigh: Weighed, order: Rows) -> Weighed:
    """Return a sample that takes weights in the rows' own order and brings them into its own."""
    return lambda weights: weigh(weights[order])


def _wider(n: int, confidence: float) -> float:
    """Return how many times as far as the normal curve Student's t reaches at ``n - 1`` degrees of freedom.

    By the expansion of Cornish and Fisher; times the root of n / (n - 1), by which resamples vary too little.
    """
    z, freedom = NormalDist().inv_cdf((1.0 + confidence) / 2.0), n - 1
    more = (z**2 + 1) / (4 * freedom) + (5 * z**4 + 16 * z**2 + 3) / (96 * freedom**2)
    return (1.0 + more) * math.sqrt(n / freedom)


def _percentiles(resampled: Array, confidence: float) -> tuple[float, float] | None:
    defined = resampled[np.isfinite(resampled)]
    if defined.size < 0.95 * resampled.size:
        return None
    tail = (1.0 - confidence) / 2.0
    # Six digits are what single precision holds: more would differ with every BLAS, and these seldom do.
    low, high = (float(f"{bound:.6g}") for bound in np.quantile(defined, [tail, 1.0 - tail]))
    return low, high


def _weights(n: int, resamples: int, random: np.random.Generator) -> Iterator[Weights]:
    block = max(1, BLOCK_CELLS // n)
    for start in range(0, resamples, block):
        width = min(block, resamples - start)
        drawn = random.integers(0, n, size=(width, n), dtype=np.int32)
        counted = np.empty((width, n), dtype=np.float32)
        for row in range(width):
            counted[row] = np.bincount(drawn[row], minlength=n)
        # Rows first: slices are then taken, and sums accumulated, in whole cache lines.
        yield np.ascontiguousarray(counted.T)


def _single(columns: Sequence[NDArray[Any]]) -> Weights:
    return np.stack([column.astype(np.float32) for column in columns])


def _average_precision(y: Flags, p: Array) -> Callable[[Weights], Array]:
    """Return weights -> sum over positives of weight times precision at their threshold."""
    positive = np.flatnonzero(y)
    if not positive.size:
        return lambda weights: np.full(weights.shape[1], np.nan)
    steps = np.append(np.flatnonzero(np.diff(p)), p.size - 1)  # the last row of each distinct prediction
    end = steps[np.searchsorted(steps, positive)]
    upto = np.searchsorted(positive, end, side="right") - 1
    tieless = bool((upto == np.arange(positive.size)).all())

    def weighted(weights: Weights) -> Array:
        own = weights[positive]
        hits = np.cumsum(own, axis=0)
        hits = hits if tieless else hits[upto]
        chosen = np.cumsum(weights, axis=0)[end]
        # Where nothing at or above a threshold was drawn, the weight that multiplies it is zero too.
        np.maximum(chosen, 1.0, out=chosen)
        np.divide(hits, chosen, out=hits)
        total: Weights = np.einsum("ij,ij->j", own, hits)
        return total.astype(np.float64)

    return weighted


def _calibration(y: Flags, p: Array) -> Callable[[Weights], Array]:
    """Return weights -> sum over bins of the absolute weighted distance; the bins stay those of the rows."""
    surplus = (p - y).astype(np.float32)
    bins = calibration_bins(p)
    starts = np.append(0, np.flatnonzero(np.diff(bins)) + 1)
    spans = [slice(a, b) for a, b in zip(starts, [*starts[1:], p.size], strict=True)]

    def weighted(weights: Weights) -> Array:
        total = np.zeros(weights.shape[1])
        for span in spans:
            total += np.abs(surplus[span] @ weights[span])
        return total

    return weighted
