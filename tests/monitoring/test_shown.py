"""A finding beside its figures: now, usual, how many times that, and a reason that never contradicts them."""

import numpy as np
import pyarrow as pa
import pytest
from tests.monitoring import seeded

from trimtab.kernel import percent
from trimtab.monitoring import shown_finding
from trimtab.monitoring.calibration import FALSE_PAGES, MATTERS, calibrate, rate_of
from trimtab.monitoring.counting import count
from trimtab.monitoring.reference import build_reference

RATE = rate_of(FALSE_PAGES, 1.0)


@pytest.fixture(scope="module")
def watched():
    random = np.random.default_rng(5)
    days = [seeded.day(random, rows=2000, columns=6) for _ in range(20)]
    return calibrate(seeded.reference_of_days(days)), random


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3, 3.0])
@pytest.mark.parametrize("rows", [50, 2000])
def test_the_reason_is_the_gate_that_decided(watched, shift: float, rows: int) -> None:
    calibration, random = watched
    window = seeded.day(random, rows=rows, columns=6, shift=shift, shifted=3)
    for finding in seeded.judge(calibration, window):
        shown = shown_finding(finding)
        assert (shown.n, shown.psi, shown.usual) == (rows, finding.distances.psi, finding.usual.psi)
        assert shown.ratio == pytest.approx(finding.distances.psi / finding.usual.psi)
        if finding.level in ("page", "shown"):
            assert "beyond chance" in shown.decided
            assert finding.adjusted <= RATE
        elif finding.adjusted > RATE:
            assert "which chance does too" in shown.decided
        else:
            assert f"{percent(MATTERS)} matter" in shown.decided
        assert finding.statistic in shown.decided


def test_every_gate_is_met_in_these_windows() -> None:
    """Where days do not differ, a small shift of many rows is beyond chance, and too small to matter."""
    random = np.random.default_rng(5)
    days = [seeded.day(random, rows=2000, columns=6, effect=0.0) for _ in range(20)]
    calibration = calibrate(seeded.reference_of_days(days))
    said = [
        shown_finding(finding).decided
        for shift in (0.0, 0.09, 3.0)
        for finding in seeded.judge(
            calibration, seeded.day(random, rows=40_000, columns=6, shift=shift, shifted=6, effect=0.0)
        )
    ]
    for gate in ("beyond chance", "which chance does too", "matter"):
        assert any(gate in one for one in said), gate


def test_a_window_without_rows_is_compared_with_nothing(watched) -> None:
    calibration, _ = watched
    for finding in calibration.findings({}, np.zeros(calibration.columns[0][0].size, dtype=np.int64)):
        shown = shown_finding(finding)
        assert (shown.n, shown.psi, shown.ratio, shown.decided) == (0, None, None, "there is nothing to compare")


def test_a_window_of_nulls_alone_is_judged_by_its_nulls() -> None:
    """Half of the days of the reference had no value, so a day without one is as usual; nothing else is known of it."""
    days = np.arange(400) // 10
    x = pa.array(np.random.default_rng(0).normal(size=400), mask=days % 2 == 0)
    at = pa.array(days * 86_400_000_000, pa.timestamp("us", tz="UTC"))
    reference = build_reference(pa.table({"x": x}), kinds={"x": "float"}, prediction=np.full(400, 0.5), at=at)
    window = count(reference.columns[0], np.full(10, np.nan))
    found = calibrate(reference).findings({"x": window}, reference.predicted.blocks[0])[1]
    assert (found.level, found.statistic) == ("none", "nulls")
    assert shown_finding(found).decided.startswith("nulls moved ")
