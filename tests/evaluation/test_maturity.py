"""When labels are final: delays measured on rows of which the youngest say too little, held to their definitions."""

from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.evaluation import Maturity, curves_of, inverse_weights, known_share, measured_maturity
from trimtab.evaluation.maturity import FEWEST_AT_RISK

DAY = 86400.0
NOW = 220 * DAY


def _world(
    seed: int, *, positive: float, negative: float, n: int = 20_000, share: float = 0.25
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, delays and ages of all rows of 220 days; delays are exponential, a negative mean means exactly that."""
    rng = np.random.default_rng(seed)
    y, ages = rng.random(n) < share, rng.uniform(0, NOW, n)
    drawn = [rng.exponential(mean, n) if mean > 0 else np.full(n, -mean) for mean in (positive * DAY, negative * DAY)]
    return y, np.where(y, *drawn), ages


def _oracle(delays: list[int], ages: list[int], at: int) -> float:
    """Lynden-Bell's estimator as it is defined, in fractions, over delays that enough rows are old enough to show."""
    share = Fraction(1)
    for x in sorted(set(delays)):
        at_risk = sum(delay <= x <= age for delay, age in zip(delays, ages, strict=True))
        if x > at and at_risk >= FEWEST_AT_RISK:
            share *= 1 - Fraction(delays.count(x), at_risk)
    return float(share) if at >= min(delays) else 0.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=150), st.integers(0, 10))
def test_the_share_that_is_known_is_the_estimator_as_it_is_defined(rows: list[tuple[int, int]], at: int) -> None:
    delays, ages = [delay for delay, _ in rows], [delay + more for delay, more in rows]
    found = known_share(np.array(delays, np.float64), np.array(ages, np.float64))
    assert found(at) == pytest.approx(_oracle(delays, ages, at), abs=1e-12)


def test_an_age_that_was_declared_too_short_is_warned_of() -> None:
    y, delays, ages = _world(5, positive=3, negative=-30)
    known = delays <= ages
    measured = measured_maturity("classification", y[known], delays[known], ages[known])
    assert measured.warning == ""
    for days, warned in ((30, False), (29, True), (10, True)):
        declared = msgspec.structs.replace(measured, by="declared", after_s=days * DAY)
        assert bool(declared.warning) == warned, days
        if warned:
            assert declared.warning == (
                f"Labels were taken for final {days}d after the decision, but False takes up to 30d to become known: "
                "these figures lean to what is known first"
            )


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=200))
def test_a_share_grows_with_the_age_and_ends_at_one(rows: list[tuple[float, float]]) -> None:
    delays = np.array([delay for delay, _ in rows])
    found = known_share(delays, delays + np.array([more for _, more in rows]))
    shares = found(np.linspace(-1, 101, 300))
    assert (np.diff(shares) >= -1e-12).all()
    assert shares[0] == 0.0
    assert shares[-1] == (1.0 if rows else 0.0)


@pytest.mark.parametrize("horizon", [10, 20, 40])
def test_slow_ones_that_are_not_known_yet_are_made_up_for(horizon: int) -> None:
    rng = np.random.default_rng(3)
    ages, delays = rng.uniform(0, horizon, 40_000), rng.exponential(5, 40_000)
    known = delays <= ages
    at = np.array([1.0, 3.0, 5.0, 8.0])
    truth = (1 - np.exp(-at / 5)) / (1 - np.exp(-horizon / 5))  # of those that can be seen at all
    assert known_share(delays[known], ages[known])(at) == pytest.approx(truth, abs=0.03)
    naive = np.array([(delays[known] <= x).mean() for x in at])
    assert np.abs(naive - truth).max() > 0.05


@pytest.mark.parametrize(
    ("positive", "negative", "after_d"),
    [(3, -30, 30), (-30, 3, 30), (-14, -1, 14), (-3, -40, 40)],
    ids=["slow negatives", "slow positives", "two weeks", "quick positives"],
)
def test_labels_are_final_when_the_slower_outcome_is_known(positive: float, negative: float, after_d: int) -> None:
    y, delays, ages = _world(1, positive=positive, negative=negative)
    known = delays <= ages
    found = measured_maturity("classification", y[known], delays[known], ages[known])
    assert (found.after_s, found.by) == (after_d * DAY, "measured")
    assert [one.outcome for one in found.outcomes] == ["False", "True"]
    assert sum(one.n for one in found.outcomes) == known.sum()


@pytest.mark.parametrize("delay", [-30.0, 5.0, 0.1], ids=["a month", "days", "hours"])
def test_delays_that_do_not_depend_on_the_outcome_need_no_maturity(delay: float) -> None:
    y, delays, ages = _world(2, positive=delay, negative=delay)
    known = delays <= ages
    found = measured_maturity("classification", y[known], delays[known], ages[known])
    assert (found.after_s, found.uneven < 0.02) == (0.0, True)


def test_outcomes_that_are_never_known_do_not_hold_the_others_up() -> None:
    y, delays, ages = _world(5, positive=3, negative=-30)
    never = np.random.default_rng(6).random(y.size) < 0.4
    known = (delays <= ages) & ~never
    assert measured_maturity("classification", y[known], delays[known], ages[known]).after_s == 30 * DAY


def test_numbers_that_are_known_when_they_are_over_are_uneven_too() -> None:
    rng = np.random.default_rng(4)
    hours, ages = rng.gamma(2, 40, 20_000), rng.uniform(0, 90 * 24, 20_000)  # a delivery is known when it has arrived
    known = hours <= ages
    found = measured_maturity("regression", hours[known], hours[known] * 3600, ages[known] * 3600)
    assert found.uneven > 0.1
    assert found.after_s >= np.quantile(hours, 0.95) * 3600


@pytest.mark.parametrize("few", [0, 1, 49])
def test_few_rows_of_an_outcome_say_nothing(few: int) -> None:
    y = np.concatenate((np.ones(few), np.zeros(5000)))
    delays = np.where(y > 0, 1.0, 30 * DAY)
    assert measured_maturity("classification", y, delays, np.full(y.size, NOW)) == Maturity()


@pytest.mark.parametrize(("positive", "negative"), [(3, -20), (3, 12), (-10, 2)])
def test_weights_give_young_rows_the_mean_of_all(positive: float, negative: float) -> None:
    """Horvitz-Thompson: over many worlds the weighted base rate of young rows is that of all rows, known or not."""
    errors, naive = [], []
    for seed in range(20):
        y, delays, ages = _world(seed, positive=positive, negative=negative, n=30_000)
        known = delays <= ages
        young = known & (ages < 25 * DAY)
        curves = curves_of("classification", y[known], delays[known], ages[known])
        weights = inverse_weights("classification", y[young], ages[young], curves, least=0.05)
        usable = ages[young][weights > 0]
        everyone = (ages < 25 * DAY) & (ages >= usable.min())
        errors.append((weights * y[young]).sum() / weights.sum() - y[everyone].mean())
        naive.append(y[young].mean() - y[everyone].mean())
        assert abs(weights.sum() / everyone.sum() - 1) < 0.15
    standard = np.std(errors, ddof=1) / len(errors) ** 0.5
    assert abs(np.mean(errors)) < 4 * standard + 0.003
    assert abs(np.mean(naive)) > 0.05


def test_ages_at_which_an_outcome_is_never_known_weigh_nothing() -> None:
    y, delays, ages = _world(7, positive=3, negative=-30)
    known = delays <= ages
    curves = curves_of("classification", y[known], delays[known], ages[known])
    weights = inverse_weights("classification", y[known], ages[known], curves, least=0.05)
    assert (weights[ages[known] < 30 * DAY] == 0).all()
    assert weights[ages[known] > 60 * DAY] == pytest.approx(1.0, abs=0.02)
