"""What a window is said to show of drift is what the dry run says, and more rows show more."""

import numpy as np
from tests.monitoring import seeded

from trimtab.monitoring.drift_power import drift_power
from trimtab.monitoring.dry_run import dry_run
from trimtab.monitoring.reference import Reference

ROWS, COLUMNS, DAYS = 600, 7, 20


def reference(seed: int = 0, *, blind: bool = False) -> Reference:
    random = np.random.default_rng(seed)
    days = [seeded.day(random, rows=ROWS, columns=COLUMNS) for _ in range(DAYS)]
    for day in days if blind else []:
        day[:, 6] = np.nan
    return seeded.reference_of_days(days)


def test_it_says_what_the_dry_run_says() -> None:
    power, run = drift_power(reference(blind=True)), dry_run(reference(blind=True))
    assert run.text.endswith(power.text)
    assert power.rows == run.rows == ROWS
    assert power.prediction == run.columns[0].smallest
    assert power.columns == {one.name: one.power for one in run.columns[1:7]}
    assert power.blind == ("f6",)
    least = min(power.columns, key=power.columns.__getitem__)
    numbers = f"the least is {least} with {power.columns[least]:.2f}"
    assert power.text.endswith(f"(the median of 6; {numbers}). Cannot be watched: f6.")


def test_with_fewer_rows_less_is_found() -> None:
    few, many = drift_power(reference(), rows=60), drift_power(reference(), rows=6_000)
    assert (few.prediction or 9.0) > (many.prediction or 9.0)
    assert all(few.columns[name] < many.columns[name] for name in many.columns)
