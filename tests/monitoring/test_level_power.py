"""The rise that the level test is said to find within two weeks, it finds; and what it rests on is said."""

import numpy as np
import pytest
from tests.monitoring.years import paged_after

from trimtab.evaluation import DAY_S, Blocks
from trimtab.monitoring.block_test import sample_noise
from trimtab.monitoring.level_power import RISES, UNKNOWN, WITHIN_DAYS, LevelPower, simulated_power
from trimtab.monitoring.paired_power import FOUND

LEVEL, OF_ONE_ROW, ROWS = 0.49, 0.5, 1000


def span(spread: float, correlation: float = 0.0, n: int = 28) -> Blocks:
    """Days of a test span, whose loss is shaken by a share ``spread`` of the level."""
    random = np.random.default_rng(1)
    drawn = sample_noise(random, blocks=n, streams=1, spread=spread * LEVEL, correlation=correlation)[:, 0]
    drawn += LEVEL + random.normal(0, OF_ONE_ROW / ROWS**0.5, n)
    return Blocks(
        span_s=DAY_S, at=tuple(range(n)), rows=(ROWS,) * n, means=tuple(drawn.tolist()),
        variances=(OF_ONE_ROW**2 / ROWS,) * n,
    )  # fmt: skip


def power(spread: float, *, served: int = 30, rows: float = ROWS, correlation: float = 0.0) -> LevelPower:
    return simulated_power(span(spread, correlation), level=LEVEL, served_days=served, rows_a_day=rows)


def found(said: LevelPower) -> float:
    return said.found or 9.0


@pytest.mark.parametrize(("spread", "served"), [(0.02, 30), (0.06, 30), (0.06, 0)])
def test_what_is_promised_is_kept(spread: float, served: int) -> None:
    said = power(spread, served=served)
    assert said.found is not None
    world = {"level": LEVEL, "of_rows": OF_ONE_ROW / ROWS**0.5, "spread": said.spread * LEVEL, "past": 28}

    def share(rise: float) -> float:
        paged = paged_after(
            np.random.default_rng(2), 60, days=served + WITHIN_DAYS, healthy=served,
            autocorrelation=said.autocorrelation, rises_by=rise * LEVEL, **world,
        )  # fmt: skip
        return float(((paged > served) & (paged <= served + WITHIN_DAYS)).mean())

    assert share(said.found) >= FOUND - 0.15
    assert share(RISES[max(RISES.index(said.found) - 1, 0)]) < 0.97


def test_wilder_days_and_fewer_rows_find_less() -> None:
    assert found(power(0.02)) < found(power(0.12))
    assert found(power(0.02)) < found(power(0.02, rows=30))


def test_days_of_service_are_learnt_from() -> None:
    few = simulated_power(span(0.08, n=5), level=LEVEL, served_days=0, rows_a_day=ROWS)
    assert found(few) > found(simulated_power(span(0.08, n=5), level=LEVEL, served_days=70, rows_a_day=ROWS))


def test_it_is_said_with_its_conditions() -> None:
    said = power(0.06)
    assert said.text.startswith(f"a loss that rises by {100 * found(said):.0f} % is found within 14 days with 80 %, ")
    assert "(after 30 days of service, 1000 labelled rows a day; the 28 days of the test span differ by " in said.text
    assert "from the first day of service on" in power(0.06, served=0).text
    assert power(1.0, rows=20).text.startswith("not even a doubled loss is found within 14 days with 80 % (")
    assert UNKNOWN.text == (
        "how small a rise of the loss is found is not known: it takes an evaluation on 5 days or more"
    )
