"""The two joins alone, against the shortest possible definition, on dense random cases where everything ties."""

import numpy as np
import pytest
from tests.features import oracle

from trimtab.features.cells import Version, newest_only
from trimtab.features.exact import LIMIT, limbs_of, sum_of, sums_of, units_of
from trimtab.features.filling import _newest_only
from trimtab.features.latest import newest_known
from trimtab.features.windows import KnownValues
from trimtab.kernel import Invalid


@pytest.mark.parametrize("seed", range(15))
def test_the_newest_known_fact_is_the_greatest_by_event_known_and_row(seed: int) -> None:
    dice = np.random.default_rng(seed)
    facts, asked = int(dice.integers(0, 60)), 40
    key, known, event = dice.integers(-1, 3, facts), dice.integers(0, 8, facts), dice.integers(0, 6, facts)
    asked_key, moment = dice.integers(-1, 4, asked), dice.integers(-1, 10, asked)
    row = np.arange(facts)

    found = newest_known(key=key, known=known, event=event, row=row, asked_key=asked_key, moment=moment)

    for k, at, got in zip(asked_key, moment, found, strict=True):
        mine = [(event[i], known[i], i) for i in row if k >= 0 and key[i] == k and known[i] <= at]
        assert got == (max(mine)[2] if mine else -1)


@pytest.mark.parametrize("seed", range(15))
def test_the_online_store_keeps_what_can_still_be_newest(seed: int) -> None:
    dice = np.random.default_rng(seed)
    facts, keep_from = 30, int(dice.integers(-1, 9))
    known, event = dice.integers(0, 8, facts), dice.integers(0, 6, facts)
    versions = [Version(int(k), int(e), n, b"") for n, (k, e) in enumerate(zip(known, event, strict=True))]

    every, kept = newest_only(versions, keep_from=None), newest_only(versions, keep_from=keep_from)
    order = np.lexsort((np.arange(facts), event, known))
    places = _newest_only(np.zeros(facts, np.int64), known[order], event[order], keep_from)

    assert [version.row for version in kept] == order[places].tolist()
    for at in range(keep_from, 10):
        newest = max((v for v in versions if v.known <= at), key=lambda v: (v.event, v.known, v.row), default=None)
        for chain in (every, kept):
            assert next((v for v in reversed(chain) if v.known <= at), None) == newest


@pytest.mark.parametrize("far", [1, 10**15])
@pytest.mark.parametrize("seed", range(8))
def test_a_window_is_what_became_known_in_it(seed: int, far: int) -> None:
    """``far`` spreads the times so much that keys and times do not fit into one number."""
    dice = np.random.default_rng(seed)
    facts, asked = int(dice.integers(0, 80)), 40
    key, known = dice.integers(-1, 3, facts), dice.integers(-20, 20, facts) * far
    values = dice.choice([0.1, -2.5, 7.0, 2.0**52 + 0.5, -(2.0**52), 1e-13], facts)
    asked_key, moment = dice.integers(-1, 4, asked), dice.integers(-25, 25, asked) * far
    tail = KnownValues(key=key, known=known, values=values, size=2**20, where="test")
    start, end = tail.until(asked_key, moment - 7 * far), tail.until(asked_key, moment)

    for function in ("count", "sum", "mean", "min", "max", "std"):
        found = tail.aggregate(function, start, end).to_pylist()
        for k, at, got in zip(asked_key, moment, found, strict=True):
            inside = (key == k) & (k >= 0) & (known > at - 7 * far) & (known <= at)
            assert got == oracle.aggregate(function, values[inside].tolist())


def test_sums_are_the_same_from_limbs_from_units_and_from_large_integers() -> None:
    values = np.array([2.0**53 - 1, 0.1, -(2.0**53) + 1, 2.0**52 + 0.5, -0.3, 1e-12] * 700)
    whole, fraction = limbs_of(values, where="test")
    units = sum(units_of(v) for v in values.tolist())

    assert sum_of(units) == sums_of(whole.astype(object).sum(keepdims=True), fraction.sum(keepdims=True))[0]
    for value in (1 - 2.0**-40, -(2.0**-40), 0.1, -7.25):
        assert sum_of(units_of(value)) == oracle.aggregate("sum", [value])
    huge = KnownValues(
        key=np.zeros(4200, np.int64), known=np.arange(4200), values=np.full(4200, 2.0**53 - 1), size=1, where="test"
    )
    total = huge.aggregate("sum", np.array([0]), np.array([4200])).to_pylist()
    assert total == [oracle.aggregate("sum", [2.0**53 - 1] * 4200)]


@pytest.mark.parametrize("value", [LIMIT, -LIMIT, float("inf"), float("-inf")])
def test_what_cannot_be_added_exactly_is_refused(value: float) -> None:
    with pytest.raises(Invalid, match="too large"):
        limbs_of(np.array([1.0, value]), where="test")
