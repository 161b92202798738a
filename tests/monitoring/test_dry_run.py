"""A dry run tells the truth: so many false pages on its own days, and shifts of its smallest size are found."""

import numpy as np
import pyarrow as pa
import pytest
from tests.monitoring import seeded

from trimtab.monitoring.calibration import calibrate
from trimtab.monitoring.dry_run import dry_run
from trimtab.monitoring.reference import build_reference

ROWS, COLUMNS, DAYS = 2_000, 8, 40


def days(seed: int, *, n: int = DAYS, effect: float = 0.03) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [seeded.day(random, rows=ROWS, columns=COLUMNS, effect=effect) for _ in range(n)]


def test_an_ordinary_reference_would_have_paged_nobody() -> None:
    found = dry_run(seeded.reference_of_days(days(0)))
    assert (found.windows, found.rows) == (DAYS, ROWS)
    assert found.expected == pytest.approx(DAYS / 90)
    assert found.paged_at == ()
    assert len(found.shown_at) <= 1
    assert "it would have paged 0 times" in found.text
    assert "0.4 false pages are accepted" in found.text


def test_an_unusual_day_of_the_reference_is_named() -> None:
    usual = days(1)
    usual[17] = usual[17] + 0.5
    reference = seeded.reference_of_days(usual)
    found = dry_run(reference)
    assert found.paged_at == (reference.starts[17],)
    assert {column.name for column in found.columns if column.paged} >= {"prediction", "f0"}


@pytest.mark.parametrize("rows", [ROWS, 400])
def test_a_shift_of_the_smallest_size_is_found_in_four_of_five(rows: int) -> None:
    reference = seeded.reference_of_days(days(2))
    smallest = {column.name: column.smallest for column in dry_run(reference, rows=rows).columns}["f7"]
    assert smallest is not None
    random = np.random.default_rng(3)
    calibration = calibrate(reference)

    def power(shift: float) -> float:
        found = []
        for _ in range(80):
            window = seeded.day(random, rows=rows, columns=COLUMNS)
            window[:, 7] += shift
            found.append(seeded.judge(calibration, window)[-1].level != "none")
        return float(np.mean(found))

    assert 0.65 <= power(smallest) <= 0.95
    assert power(smallest / 2) <= 0.3


def test_the_power_that_it_states_is_the_one_that_it_has() -> None:
    reference = seeded.reference_of_days(days(2, effect=0.05))
    calibration, random = calibrate(reference), np.random.default_rng(9)
    for rows in (300, 700, ROWS):
        found = dry_run(reference, rows=rows)
        stated = {column.name: column.power for column in found.columns}["f7"]
        assert stated is not None
        hits = []
        for _ in range(120):
            window = seeded.day(random, rows=rows, columns=COLUMNS, effect=0.05)
            window[:, 7] += 0.2
            hits.append(seeded.judge(calibration, window)[-1].level != "none")
        assert np.mean(hits) == pytest.approx(stated, abs=0.15), rows
        assert "in one column alone is found in the first window with a power of" in found.text


def test_what_cannot_be_watched_is_named() -> None:
    usual = days(3)
    for day in usual:
        day[:, 6] = np.nan
        day[:, 7] = 1.0
    found = dry_run(seeded.reference_of_days(usual))
    assert [column.name for column in found.columns if not column.watched] == ["f6"]
    assert [column.name for column in found.columns if column.power is None] == ["f6", "f7"]
    assert sum(column.shown for column in found.columns) <= 1
    assert found.text.endswith("Cannot be watched: f6.")


def test_an_id_in_a_column_ends_no_dry_run() -> None:
    """Its values lie in one day each: without that day a named one is nowhere."""
    n = 1500
    ids = pa.table({"id": [f"id {i}" for i in range(n)]})
    at = pa.array(np.arange(n) * 3 * 86_400_000_000 // n, pa.timestamp("us", tz="UTC"))
    p = np.random.default_rng(0).random(n)
    found = dry_run(build_reference(ids, kinds={"id": "category"}, prediction=p, at=at))
    assert "Cannot be watched: id." in found.text


def test_larger_windows_and_calmer_days_find_smaller_shifts() -> None:
    calm, rough = seeded.reference_of_days(days(4, effect=0.01)), seeded.reference_of_days(days(4, effect=0.2))
    of = {column.name: column for column in dry_run(calm).columns}
    assert of["f0"].unit == "sd"
    assert of["f0"].can_page
    assert not of["f7"].can_page
    for column, wild in zip(dry_run(calm).columns, dry_run(rough).columns, strict=True):
        assert column.smallest is not None
        assert wild.smallest is not None
        assert column.smallest < wild.smallest
    assert dry_run(calm, rows=200).columns[0].smallest > of["prediction"].smallest


def test_windows_of_a_week_do_not_overlap() -> None:
    found = dry_run(seeded.reference_of_days(days(5)), span=7)
    assert (found.windows, found.rows) == (5, 7 * ROWS)
    assert "windows of 7 days" in found.text


def test_too_few_days_find_nothing_and_say_so() -> None:
    found = dry_run(seeded.reference_of_days(days(6, n=1)))
    assert found.columns[0].smallest is None
    assert "no shift of the prediction is found" in found.text
