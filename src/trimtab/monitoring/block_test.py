"""Has a mean risen? A test on blocks of time, which may be looked at whenever a block is over.

Rows of one stormy day go wrong together, and a stormy day follows a stormy day. So what counts is not a row but the
mean of a block, and a block's mean is taken to be

    mean + what shakes the block + the chance of its rows,

where what shakes a block is normal, has an unknown spread, and depends on the block before it (an AR(1) process of
unknown autocorrelation, up to a stated one). Neither is assumed: both are learnt, from the blocks before (those of the
test span, where the model did not learn either) and from the stream itself.

The *evidence* is the ratio of two predictions of the stream, made block by block from the past alone: one by "the mean
has risen", one by "it has not" (a Bayes factor; Robbins 1970, Grünwald, de Heide and Koolen 2024). Were spread and
autocorrelation known, evidence of 20 would be reached in at most 1 of 20 streams without a rise, however often one
looks (Ville's inequality). That this holds while they are learnt, under the conditions that are stated, is what
``bench/acting_study.py`` and the tests measure.
"""

import math

import msgspec
import numpy as np

from trimtab.monitoring.cells import Array

SPREADS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.48, 0.64, 1.0)
"""What shakes a block, as standard deviations in shares of the scale (the loss itself), each as likely as the next."""
_LEAST_VARIANCE = 1e-6
"""Of a block's mean by its rows, in squares of the scale: rows that are all equal are no proof of an exact mean."""
_GREATEST = 690.0  # of the logarithm: beyond it a double overflows


class Dependence(msgspec.Struct, frozen=True, kw_only=True):
    """How far neighbouring blocks may depend on each other: autocorrelations, and how likely each is held to be.

    ``unchanged`` are the probabilities under "it has not risen" and ``risen`` those under "it has". Where nothing is
    known of the past, the first should lean to the strong ones: a run of bad blocks is then not taken for a rise before
    it is known how long runs are.
    """

    autocorrelations: tuple[float, ...]
    unchanged: tuple[float, ...]
    risen: tuple[float, ...]


class Rise(msgspec.Struct, frozen=True, kw_only=True):
    """What a rise is: by which shares of the scale (each as likely as the next), and from which block on.

    ``at_start`` is the probability that it began with the first block, and ``each_block`` that of any later one;
    only the last ``starts`` blocks are looked at. Negative shares ask for a fall.
    """

    shares: tuple[float, ...]
    at_start: float = 1.0
    each_block: float = 0.0
    starts: int = 1


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Blocks in order of time: ``means`` is one column a stream (blocks, streams), all of them at the same moments.

    The first ``before`` blocks are the past. ``known`` says that without a rise the mean of the later ones is 0; else
    it is that of the past. ``variances`` are those of the means by their rows.
    """

    at: Array
    means: Array
    variances: Array
    before: int
    known: bool
    scale: float


def log_evidence(series: Series, rise: Rise, dependence: Dependence, *, lately: int | None = None) -> Array:
    """Return the logarithm of the evidence for a rise after each block that is not of the past (blocks, streams).

    With ``lately`` only after so many last ones.
    """
    spread, correlation = _noises(dependence)
    n, before = series.at.size, series.before
    shown = before if lately is None else max(before, n - lately)
    nuisance = np.ones(n) if not series.known else (np.arange(n) < before).astype(np.float64)
    begins = np.arange(max(before, n - rise.starts), n) if rise.each_block else np.array([before])
    steps = (np.arange(n)[:, None] >= begins[None, :]).astype(np.float64)
    columns = np.column_stack((series.means / series.scale, nuisance, steps))
    variances = np.maximum(series.variances / series.scale**2, _LEAST_VARIANCE)
    white, logs = _whitened(columns, series.at, variances, spread, correlation)
    streams = series.means.shape[1]
    x, one, step = white[:, :, :streams], white[:, :, streams], white[:, :, streams + 1 :]
    # The unknown mean of the past is integrated out under a flat prior: what is left are sums over the blocks so far.
    own, cross = np.cumsum(one**2, axis=1), np.cumsum(one[:, :, None] * x, axis=1)
    weight = np.divide(1.0, own, out=np.zeros_like(own), where=own > 0)
    fit = -0.5 * (np.cumsum(x**2, axis=1) - cross**2 * weight[:, :, None])
    fit += (-logs - 0.5 * np.log(np.where(own > 0, own, 1.0)))[:, :, None]
    gain = np.full(fit[:, shown:].shape, _log(_unspent(rise, n - before))[None, shown - before :, None])
    for number, begin in enumerate(begins):
        since, first = slice(begin, n), max(begin, shown)
        overlap = np.cumsum(one[:, since] * step[:, since, number], axis=1) * weight[:, since]
        inner = np.cumsum(step[:, since, number] ** 2, axis=1) - overlap**2 * own[:, since]
        outer = np.cumsum(step[:, since, number, None] * x[:, since], axis=1) - overlap[:, :, None] * cross[:, since]
        inner, outer = inner[:, first - begin :], outer[:, first - begin :]
        share = rise.at_start if begin == before else rise.each_block
        for by in rise.shares:
            won = by * outer - 0.5 * by * by * inner[:, :, None] + math.log(share / len(rise.shares))
            gain[:, first - shown :] = np.logaddexp(gain[:, first - shown :], won)
    past = fit[:, before - 1] if before else np.zeros(fit[:, 0].shape)
    prior = [np.tile(np.log(one), len(SPREADS))[:, None] for one in (dependence.unchanged, dependence.risen)]
    unchanged = _sum(fit[:, shown:] + prior[0][:, None]) - _sum(past + prior[0])
    risen = _sum(fit[:, shown:] + gain + prior[1][:, None]) - _sum(past + prior[1])
    return np.asarray(risen - unchanged)


def likely_noise(series: Series, dependence: Dependence) -> tuple[float, float]:
    """Return what shakes the blocks of a first stream most likely: its standard deviation as a share of the scale, and
    the autocorrelation of neighbours; the mean of all blocks is taken out.
    """
    spread, correlation = _noises(dependence)
    columns = np.column_stack((series.means[:, :1] / series.scale, np.ones(series.at.size)))
    variances = np.maximum(series.variances / series.scale**2, _LEAST_VARIANCE)
    white, logs = _whitened(columns, series.at, variances, spread, correlation)
    own, cross = (white[:, :, 1] ** 2).sum(axis=1), (white[:, :, 0] * white[:, :, 1]).sum(axis=1)
    fit = -0.5 * ((white[:, :, 0] ** 2).sum(axis=1) - cross**2 / own) - logs[:, -1] - 0.5 * np.log(own)
    best = int(fit.argmax())
    return float(spread[best]), float(correlation[best])


def sample_noise(
    random: np.random.Generator, *, blocks: int, streams: int, spread: float, correlation: float
) -> Array:  # fmt: skip
    """Return what shakes blocks, drawn at random (blocks, streams): an AR(1) process that is stationary."""
    noise = random.standard_normal((blocks, streams))
    for number in range(1, blocks):
        noise[number] = correlation * noise[number - 1] + math.sqrt(1.0 - correlation**2) * noise[number]
    return np.asarray(spread * noise)


def number_of(logarithm: float) -> float:
    """Return evidence from its logarithm; the greatest is a large number, not infinite."""
    return math.exp(min(logarithm, _GREATEST))


def _noises(dependence: Dependence) -> tuple[Array, Array]:
    """Return every pair of a spread and an autocorrelation."""
    spreads, correlations = np.meshgrid(np.array(SPREADS), np.array(dependence.autocorrelations), indexing="ij")
    return spreads.ravel(), correlations.ravel()


def _unspent(rise: Rise, blocks: int) -> Array:
    """Return the share of belief that after each block is still kept for rises to come."""
    spent = rise.at_start + rise.each_block * np.arange(blocks, dtype=np.float64)
    return 1.0 - spent.clip(max=1.0)


def _whitened(
    columns: Array, at: Array, variances: Array, spread: Array, correlation: Array
) -> tuple[Array, Array]:  # fmt: skip
    """Return what each block adds to the blocks before it, in standard deviations (noises, blocks, columns).

    A Kalman filter for every pair of spread and autocorrelation at once; beside it the running sum of the logarithms
    of those deviations (noises, blocks).
    """
    state, variance = np.zeros((spread.size, columns.shape[1])), spread**2
    white = np.empty((spread.size, at.size, columns.shape[1]))
    logs = np.empty((spread.size, at.size))
    for number in range(at.size):
        if number:
            kept = correlation ** float(at[number] - at[number - 1])
            state, variance = state * kept[:, None], kept**2 * variance + (1.0 - kept**2) * spread**2
        total = variance + variances[number]
        error = columns[number] - state
        white[:, number] = error / np.sqrt(total)[:, None]
        logs[:, number] = 0.5 * np.log(total)
        learnt = variance / total
        state, variance = state + learnt[:, None] * error, variance * (1.0 - learnt)
    return white, np.cumsum(logs, axis=1)


def _sum(logarithms: Array) -> Array:
    return np.asarray(np.logaddexp.reduce(logarithms, axis=0))


def _log(values: Array) -> Array:
    found: Array = np.log(values, out=np.full(values.shape, -np.inf), where=values > 0)
    return found
