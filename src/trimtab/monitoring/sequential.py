"""Look at losses after every batch, for as long as one likes, without raising more false alarms than was said.

Both tests are betting (e-processes): capital that starts at 1, is staked on each loss before it is seen, and cannot
grow in expectation while nothing is wrong. It reaches ``1 / alpha`` in at most a share ``alpha`` of healthy streams,
however long they run and however often they are looked at (Ville's inequality; Shafer 2021, Waudby-Smith and Ramdas
2024). The state is a few numbers, whatever the number of losses.

What "nothing is wrong" means: given the past, the expected loss is at most the level. Decisions of one stormy day go
wrong together, and a stream of single losses would count that day as hundreds of proofs. Where days differ by more
than chance, pass one loss a day, its mean: the same guarantee then holds for days.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.kernel import Invalid
from trimtab.monitoring.cells import Array

EXCESSES = (0.1, 0.2, 0.4, 0.8)
"""What is bet on: a loss above the level by these shares of it."""
STAKES = tuple(0.5**k for k in range(1, 8))
"""What is bet on a paired difference: shares of the capital that the largest difference would win or lose."""
ALPHA = 0.05
HORIZON = 10_000
TIGHT_AT = 2_000
_GREATEST = 690.0  # of the logarithm: beyond it a double overflows
_BOLDEST = 0.9
Better = Literal["champion", "challenger", "undecided"]
Losses = Sequence[float] | NDArray[np.float64]


class NotALoss(Invalid):
    """A loss that is missing, infinite, or below zero where that cannot be."""

    code = "monitoring.not-a-loss"
    default_why = "The test bets on each loss, so each must be a number that is known."
    default_next = "leave out the decisions whose outcome is not known yet"


class LevelState(msgspec.Struct, frozen=True, kw_only=True):
    """Losses against a level that they should not exceed. Made by ``against_level``, changed by ``update``."""

    level: float
    deviation: float
    alpha: float
    horizon: int
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    capital: tuple[float, ...]
    """Logarithm of what the bets begun so far hold, for each of ``EXCESSES``."""
    peak: float = 0.0
    """Logarithm of the most that all capital together ever was."""


class PairedState(msgspec.Struct, frozen=True, kw_only=True):
    """Differences of loss, challenger minus champion, on the same rows. Made by ``between_models``."""

    cap: float
    alpha: float
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    worse: tuple[float, ...] = (0.0,) * len(STAKES)
    """Logarithm of the capital that bets on the challenger being worse, for each of ``STAKES``."""
    better: tuple[float, ...] = (0.0,) * len(STAKES)
    peak_worse: float = 0.0
    peak_better: float = 0.0


class LevelEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the losses say: ``e_value`` is the capital now, ``alarmed`` whether it ever reached ``1 / alpha``.

    ``low`` and ``high`` bound the mean since the start of the state, at all times at once; None below two losses.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    e_value: float
    alarmed: bool


class PairedEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the differences say. ``e_worse`` is evidence against "the challenger is no worse", ``e_better`` against
    "the champion is no worse"; ``better`` is named once either reached ``1 / alpha``.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    e_worse: float
    e_better: float
    better: Better


def against_level(
    level: float, *, deviation: float | None = None, alpha: float = ALPHA, horizon: int = HORIZON
) -> LevelState:
    """Begin to watch losses (0 or more: errors, log loss, squared error) against their level at approval.

    ``deviation`` is the standard deviation of one loss: it sizes the bets, and a wrong one costs time but never the
    guarantee; without it, that of an error rate (or, from a level of 1 on, the level). ``horizon`` is in losses:
    a change after more of them is found later. Half of the capital is bet from the start, the rest bit by bit, so that
    a loss that rises after a long healthy time is found nearly as fast as one that was high from the start. A level
    that was itself measured on few rows should be passed as the upper end of its interval.
    """
    if not (math.isfinite(level) and level > 0):
        raise NotALoss(f"the level is {level}", where="against_level", next="pass a mean loss above 0")
    spread = deviation or (math.sqrt(level * (1 - level)) if level < 1 else level)
    begun = math.log(0.5 / len(EXCESSES))
    return LevelState(level=level, deviation=spread, alpha=alpha, horizon=horizon, capital=(begun,) * len(EXCESSES))


def between_models(*, cap: float = 2.0, alpha: float = ALPHA) -> PairedState:
    """Begin to compare a challenger's losses with a champion's on the same rows.

    A difference beyond ``cap`` (in units of the loss) counts as ``cap`` in the test, not in mean and interval: a bet
    needs to know the most that it can lose. 2 suits log loss; for squared error pass a few variances of the label.
    """
    return PairedState(cap=cap, alpha=alpha)


@overload
def update(state: LevelState, losses: Losses) -> LevelState: ...
@overload
def update(state: PairedState, losses: Losses) -> PairedState: ...
def update(state: LevelState | PairedState, losses: Losses) -> LevelState | PairedState:
    """Return the state after more losses (paired: differences), in the order of their decisions.

    Cutting a stream into batches differently changes nothing. Raises ``NotALoss``.
    """
    found = np.asarray(losses, dtype=np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise NotALoss("some losses are missing or infinite", where="update: losses")
    if not found.size:
        return state
    if isinstance(state, PairedState):
        return _paired_after(state, found)
    if found.min() < 0:
        raise NotALoss(f"a loss is {found.min():g}", where="update: losses", why="A loss is 0 or more.")
    return _level_after(state, found)


@overload
def evidence(state: LevelState) -> LevelEvidence: ...
@overload
def evidence(state: PairedState) -> PairedEvidence: ...
def evidence(state: LevelState | PairedState) -> LevelEvidence | PairedEvidence:
    """Return what the losses so far say."""
    mean, low, high = _interval(state.n, state.total, state.squares, state.alpha)
    needed = -math.log(state.alpha)
    if isinstance(state, LevelState):
        together = float(_all_capital(np.array(state.capital), state.n, state.horizon))
        floor = None if low is None else max(low, 0.0)
        alarmed = state.peak >= needed
        return LevelEvidence(n=state.n, mean=mean, low=floor, high=high, e_value=_number(together), alarmed=alarmed)
    better: Better = "undecided"
    if max(state.peak_worse, state.peak_better) >= needed:
        better = "champion" if state.peak_worse >= state.peak_better else "challenger"
    return PairedEvidence(
        n=state.n,
        mean=mean,
        low=low,
        high=high,
        e_worse=_number(_mean_of(state.worse)),
        e_better=_number(_mean_of(state.better)),
        better=better,
    )


def _level_after(state: LevelState, losses: Array) -> LevelState:
    bets = np.array(EXCESSES) * state.level / state.deviation**2
    bets = np.minimum(bets, _BOLDEST / state.level)  # a loss of 0 must leave something
    growth = np.cumsum(np.log1p(np.outer(losses - state.level, bets)), axis=0)
    times = state.n + np.arange(losses.size + 1)
    waiting = _waiting(times, state.horizon)
    # What begins with a loss is the difference of the two; their product is that without cancelling.
    begun = np.log(waiting[:-1] * waiting[1:] * 2 / state.horizon / len(EXCESSES))
    before = np.vstack((np.zeros(bets.size), growth[:-1]))
    # Capital after a loss is (capital before + what begins now) * its factor; solved for all losses at once.
    staked = np.vstack((np.array(state.capital), begun[:, None] - before))
    capital = np.logaddexp.accumulate(staked, axis=0)[1:] + growth
    together = _all_capital(capital, times[1:], state.horizon)
    return msgspec.structs.replace(
        state,
        n=state.n + losses.size,
        total=state.total + float(losses.sum()),
        squares=state.squares + float((losses**2).sum()),
        capital=tuple(capital[-1].tolist()),
        peak=max(state.peak, float(together.max())),
    )


def _paired_after(state: PairedState, differences: Array) -> PairedState:
    stakes = np.outer(np.clip(differences / state.cap, -1.0, 1.0), np.array(STAKES))
    worse = np.array(state.worse) + np.cumsum(np.log1p(stakes), axis=0)
    better = np.array(state.better) + np.cumsum(np.log1p(-stakes), axis=0)
    share = math.log(len(STAKES))
    return msgspec.structs.replace(
        state,
        n=state.n + differences.size,
        total=state.total + float(differences.sum()),
        squares=state.squares + float((differences**2).sum()),
        worse=tuple(worse[-1].tolist()),
        better=tuple(better[-1].tolist()),
        peak_worse=max(state.peak_worse, float((np.logaddexp.reduce(worse, axis=1) - share).max())),
        peak_better=max(state.peak_better, float((np.logaddexp.reduce(better, axis=1) - share).max())),
    )


def _waiting(n: Any, horizon: int) -> Any:
    """Return the share of the capital that is not yet bet after ``n`` losses."""
    return 0.5 / (1.0 + n / horizon)


def _all_capital(capital: Array, n: Any, horizon: int) -> Any:
    """Return the logarithm of all capital: that of the bets (last axis), and what is not yet bet."""
    return np.logaddexp(np.logaddexp.reduce(capital, axis=-1), np.log(_waiting(n, horizon)))


def _mean_of(capital: tuple[float, ...]) -> float:
    return float(np.logaddexp.reduce(capital)) - math.log(len(capital))


def _interval(n: int, total: float, squares: float, alpha: float) -> tuple[float | None, float | None, float | None]:
    """Return a mean and its asymptotic confidence sequence, tightest near ``TIGHT_AT`` losses.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), theorem 2.2: valid at all n at once, once n is large enough
    for the sample's variance to be trusted; it needs no bound on a loss.
    """
    if not n:
        return None, None, None
    mean = total / n
    if n < 2:
        return mean, None, None
    variance = max(squares / n - mean * mean, 0.0)
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TIGHT_AT
    spread = n * rho2 + 1
    half = math.sqrt(variance * 2 * spread / (n * n * rho2) * math.log(math.sqrt(spread) / alpha))
    return mean, mean - half, mean + half


def _number(logarithm: float) -> float:
    return math.exp(min(logarithm, _GREATEST))
