"""What a classifier's metrics would be if its labels were here: estimated from its own probabilities.

Confidence-based performance estimation (as in NannyML's CBPE): when a calibrated model says 0.7, it is right in 70 % of
cases, so every metric has an expected value before a single label is known. It sees what a change of the inputs does to
performance. **It is blind to a change of what the inputs mean** (concept drift): the probabilities are taken at their
word, and a model that has become wrong without becoming unsure looks as good as ever. ``BLINDNESS`` says so to people,
and is part of every estimate. It never replaces labels.
"""

import math
from typing import Any

import msgspec
import numpy as np

from trimtab.evaluation import MetricValue
from trimtab.kernel import Invalid
from trimtab.monitoring.cells import Array

ESTIMATED = (
    "auc", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "selection_rate", "true_positive_rate",
    "false_positive_rate",
)  # fmt: skip
METHOD = "estimated without labels, from the model's probabilities"
BLINDNESS = (
    "An estimate from the model's own probabilities. It follows changes of the inputs, but cannot see that the same "
    "inputs now mean something else: only labels show that."
)
DRAWS = 2_000
_LEAST = float(np.finfo(np.float64).eps)


class NotEstimable(Invalid):
    """Predictions that are no probabilities, or no rows."""

    code = "monitoring.not-estimable"
    default_why = "Only probabilities of the positive class say how sure a model is."
    default_next = "pass one probability between 0 and 1 for each row, at least one row"


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of one window before its labels. Made by ``estimate``."""

    n: int
    at: float
    metrics: dict[str, MetricValue]
    """The expected value of each, and where the measured value will lie with the stated confidence, if the
    probabilities are as true as they were."""
    blindness: str = BLINDNESS


class Calibrator(msgspec.Struct, frozen=True, kw_only=True):
    """Makes probabilities true to what was observed: steps that never fall, straight between their ends."""

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]

    def __call__(self, p: Any) -> Array:
        """Return calibrated probabilities; outside the rows it was made from, those of the nearest."""
        found: Array = np.interp(np.asarray(p, dtype=np.float64), self.inputs, self.outputs)
        return found


def estimate(
    p: Any, *, at: float = 0.5, calibrator: Calibrator | None = None, confidence: float = 0.95, seed: int = 0
) -> Estimated:
    """Estimate the metrics of a window whose labels are not known.

    ``p`` is the served probability of each row; a row is decided positive from ``at``. ``calibrator`` (from
    ``calibrator_of`` on labelled rows) says how often such rows were positive; without it ``p`` is believed as it is.
    Metrics are measured on the served probabilities in either case. Raises ``NotEstimable``.
    """
    served = _probabilities(p, "p")
    true = served if calibrator is None else np.clip(calibrator(served), 0.0, 1.0)
    weights, base = _linear(served, at)
    mean = weights @ true
    expected = _metrics(mean[:, None], base, served.size)
    variance = (weights * (true * (1 - true))) @ weights.T
    drawn = np.random.default_rng(seed).multivariate_normal(mean, variance, DRAWS, method="eigh").T
    possible = _metrics(drawn, base, served.size)
    tail = (1 - confidence) / 2
    metrics = {}
    for name in ESTIMATED:
        value = float(expected[name][0])
        low, high = _bounds(possible[name], tail, math.inf if name == "log_loss" else 1.0)
        known = math.isfinite(value)
        metrics[name] = MetricValue(
            value=value if known else None,
            low=low if known else None,
            high=high if known else None,
            n=served.size,
            method=METHOD,
            why="" if known else "no row is decided or expected positive",
        )
    return Estimated(n=served.size, at=at, metrics=metrics)


def calibrator_of(p: Any, y: Any) -> Calibrator:
    """Learn from labelled rows how often each probability came true: isotonic regression, by pooling neighbours.

    Zadrozny and Elkan (2002). Raises ``NotEstimable``.
    """
    served = _probabilities(p, "p")
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != served.shape or not np.isin(labels, (0.0, 1.0)).all():
        raise NotEstimable(
            f"labels of shape {labels.shape} for {served.size} probabilities",
            where="calibrator_of",
            why="Each probability is compared with what happened: True or False.",
        )
    inputs, inverse, rows = np.unique(served, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=labels) / rows
    pools: list[tuple[float, float, int]] = []  # mean, rows, different inputs
    for mean, weight in zip(means.tolist(), rows.tolist(), strict=True):
        pool = (mean, float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            before = pools.pop()
            both = before[1] + pool[1]
            pool = ((before[0] * before[1] + pool[0] * pool[1]) / both, both, before[2] + pool[2])
        pools.append(pool)
    outputs = np.repeat([mean for mean, _, _ in pools], [size for _, _, size in pools])
    ends = np.cumsum([size for _, _, size in pools])
    kept = np.unique(np.concatenate((ends - 1, ends - [size for _, _, size in pools])))
    return Calibrator(inputs=tuple(inputs[kept].tolist()), outputs=tuple(outputs[kept].tolist()))


def _linear(p: Array, at: float) -> tuple[Array, dict[str, float]]:
    """Return what a label adds to each sum that the metrics are made of, and what does not depend on labels.

    The sums, over positives: 1, the rank, decided positive, the log-odds, and ``1 - 2 p``.
    """
    clipped = np.clip(p, _LEAST, 1 - _LEAST)
    decided = p >= at
    weights = np.array([np.ones(p.size), _midranks(p), decided, np.log(clipped / (1 - clipped)), 1 - 2 * p])
    base = {"decided": float(decided.sum()), "log": float(np.log1p(-clipped).sum()), "square": float((p * p).sum())}
    return weights, base


def _metrics(sums: Array, base: dict[str, float], n: int) -> dict[str, Array]:
    """Return each metric from the sums over positives. Shape of ``sums``: (5, draws)."""
    positives, ranks, hits, odds, brier = sums
    negatives, decided = n - positives, base["decided"]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits / positives
        return {
            "auc": (ranks - positives * (positives + 1) / 2) / (positives * negatives),
            "log_loss": -(base["log"] + odds) / n,
            "brier": (base["square"] + brier) / n,
            "accuracy": (hits + negatives - (decided - hits)) / n,
            "precision": hits / decided if decided else np.full_like(hits, np.nan),
            "recall": recall,
            "f1": 2 * hits / (positives + decided),
            "selection_rate": np.full_like(hits, decided / n),
            "true_positive_rate": recall,
            "false_positive_rate": (decided - hits) / negatives,
        }


def _bounds(values: Array, tail: float, most: float) -> tuple[float | None, float | None]:
    known = values[np.isfinite(values)]
    if not known.size:
        return None, None
    low, high = np.quantile(known, (tail, 1 - tail))
    return max(float(low), 0.0), min(float(high), most)


def _midranks(p: Array) -> Array:
    _, inverse, rows = np.unique(p, return_inverse=True, return_counts=True)
    ends = np.cumsum(rows)
    found: Array = (ends - (rows - 1) / 2)[inverse]
    return found


def _probabilities(p: Any, name: str) -> Array:
    found = np.asarray(p, dtype=np.float64)
    if found.ndim != 1 or not found.size:
        raise NotEstimable(f"{name} has the shape {found.shape}", where="estimate")
    if not ((found >= 0) & (found <= 1)).all():
        raise NotEstimable(f"some values of {name} are no probabilities", where="estimate")
    return found
