"""Few false alarms, real shifts found, and nobody paged for what the model does not use."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.monitoring import seeded

from trimtab.monitoring.calibration import NotAWindow, calibrate, findings, rate_of
from trimtab.monitoring.counting import count, count_table
from trimtab.monitoring.edges import GREATEST
from trimtab.monitoring.reference import PREDICTION, build_reference

COLUMNS, ROWS, DAYS = 40, 5_000, 30
FIVE_PERCENT = {"false_pages": (1, 20)}


@pytest.fixture(scope="module")
def watched():
    random = np.random.default_rng(11)
    days = [seeded.day(random, rows=ROWS, columns=COLUMNS) for _ in range(DAYS)]
    return calibrate(seeded.reference_of_days(days)), days, random


def test_no_drift_alarms_on_at_most_7_percent_of_days(watched) -> None:
    calibration, days, random = watched
    alarms, naive = [], []
    reference = np.concatenate(days)[:: DAYS // 3]
    for _ in range(60):
        rows = seeded.day(random, rows=ROWS, columns=COLUMNS)
        found = seeded.judge(calibration, rows, **FIVE_PERCENT, matters=0.0)
        alarms.append(any(finding.level != "none" for finding in found))
        naive.append(min(stats.ks_2samp(reference[:, i], rows[:, i]).pvalue for i in range(4)) < 0.05)
    assert np.mean(alarms) <= 0.07
    assert np.mean(naive) > 0.3  # four columns of forty are enough for the usual test to cry wolf


def test_a_shift_of_a_fifth_of_a_deviation_in_5_of_40_is_found_on_the_first_day(watched) -> None:
    calibration, _, random = watched
    shifted = {f"f{i}" for i in range(5)}
    alarmed, named, wrong = [], [], []
    for _ in range(40):
        rows = seeded.day(random, rows=ROWS, columns=COLUMNS, shift=0.2, shifted=5)
        found = {f.name for f in seeded.judge(calibration, rows, **FIVE_PERCENT) if f.level != "none"} - {PREDICTION}
        alarmed.append(bool(found & shifted))
        named.append(len(found & shifted) / 5)
        wrong.append(bool(found - shifted))
    assert np.mean(alarmed) >= 0.95
    assert np.mean(named) >= 0.90
    assert np.mean(wrong) <= 0.07


def test_a_shift_that_the_model_hardly_uses_is_shown_and_pages_nobody(watched) -> None:
    calibration, _, random = watched
    rows = seeded.day(random, rows=ROWS, columns=COLUMNS)
    rows[:, 30] += 3.0
    found = {finding.name: finding for finding in seeded.judge(calibration, rows)}
    assert found["f30"].level == "shown"
    assert found["f30"].statistic == "location"
    assert found["f30"].effect > 0.8
    assert found["f30"].weighted < 0.05
    assert "hardly uses it" in found["f30"].text
    assert {finding.level for finding in found.values()} == {"none", "shown"}


def test_a_shift_that_moves_the_predictions_pages_with_its_causes(watched) -> None:
    calibration, _, random = watched
    found = seeded.judge(calibration, seeded.day(random, rows=ROWS, columns=COLUMNS, shift=0.3, shifted=5))
    assert [finding.name for finding in found if finding.level == "page"] == [PREDICTION, *(f"f{i}" for i in range(5))]
    assert found[0].text.startswith("prediction is higher than in the reference")


def test_a_slow_season_inside_the_reference_is_part_of_what_is_usual() -> None:
    random = np.random.default_rng(5)

    def of_day(at: int) -> np.ndarray:
        rows = seeded.day(random, rows=800, columns=8)
        rows[:, 6] += at / 60  # a deviation in two months, and going on
        rows[:, 0] += 0.2 * np.sin(at / 30)
        return rows

    calibration = calibrate(seeded.reference_of_days([of_day(at) for at in range(60)]))
    judged = [seeded.judge(calibration, of_day(at)) for at in range(60, 75)]
    assert not any(finding.level == "page" for window in judged for finding in window)
    spring = [finding for window in judged for finding in window if finding.name == "f6"]
    assert sum(finding.level != "none" for finding in spring) <= 1
    assert all(np.isfinite([f.z, f.p, f.effect]).all() for f in spring)


def of_texts(texts: list[list[str | None]], **more: object):
    frame = pa.table({"c": [text for day in texts for text in day]})
    lengths = [len(day) for day in texts]
    at = np.datetime64("2013-01-01", "us") + np.repeat(np.arange(len(texts)), lengths) * np.timedelta64(1, "D")
    prediction = np.random.default_rng(0).random(frame.num_rows)
    return build_reference(
        frame, kinds={"c": "category"}, prediction=prediction, at=pa.array(at, pa.timestamp("us", "UTC")), **more
    )


def drawn(random: np.random.Generator, n: int, shares: dict[str | None, float]) -> list[str | None]:
    values = list(shares)
    return [values[i] for i in random.choice(len(values), n, p=list(shares.values()))]


@pytest.mark.parametrize(
    ("now", "statistic"),
    [
        ({"a": 0.5, "b": 0.5, None: 0.0}, "b"),
        ({"a": 0.65, "b": 0.27, "z": 0.06, None: 0.02}, "unseen"),
        ({"a": 0.60, "b": 0.25, None: 0.15}, "nulls"),
    ],
)
def test_of_a_category_the_value_that_changed_is_named(now: dict[str | None, float], statistic: str) -> None:
    random = np.random.default_rng(3)
    usual: dict[str | None, float] = {"a": 0.69, "b": 0.29, None: 0.02}
    reference = of_texts([drawn(random, 900, usual) for _ in range(30)])
    healthy = [
        findings(
            reference, count_table(reference.columns, pa.table({"c": drawn(random, 900, usual)})), _none(reference)
        )
        for _ in range(60)
    ]
    assert sum(window[1].level != "none" for window in healthy) <= 2
    window = count_table(reference.columns, pa.table({"c": drawn(random, 900, now)}))
    found = findings(reference, window, _none(reference))[1]
    assert (found.level, found.statistic) == ("shown", statistic)


@pytest.mark.parametrize("tail", [1.2, 1.5, 2.0])
def test_a_long_tail_of_categories_does_not_alarm_on_healthy_days(tail: float) -> None:
    random = np.random.default_rng(8)

    def day() -> list[str | None]:
        return [f"c{value}" for value in random.zipf(tail, 600)]

    reference = of_texts([day() for _ in range(30)])
    calibration = calibrate(reference)
    judged = [
        calibration.findings(count_table(reference.columns, pa.table({"c": day()})), _none(reference))[1]
        for _ in range(60)
    ]
    assert sum(finding.level != "none" for finding in judged) <= 2
    assert np.mean([finding.distances.psi for finding in judged]) < 0.05
    assert np.mean([finding.distances.unseen_share for finding in judged]) == pytest.approx(
        judged[0].unseen_before, abs=0.02
    )
    broken = [value if random.random() < 0.8 else "garbage" for value in day()]
    found = calibration.findings(count_table(reference.columns, pa.table({"c": broken})), _none(reference))[1]
    assert (found.level, found.statistic) == ("shown", "unseen")


def _none(reference) -> np.ndarray:
    return np.zeros(reference.prediction.size, dtype=np.int64)


def test_one_rare_null_is_no_alarm() -> None:
    reference = of_texts([["a"] * 400 for _ in range(30)])
    window = count_table(reference.columns, pa.table({"c": ["a"] * 39 + [None]}))
    assert findings(reference, window, _none(reference))[1].level == "none"
    broken = count_table(reference.columns, pa.table({"c": ["a"] * 20 + [None] * 20}))
    found = findings(reference, broken, _none(reference))[1]
    assert found.level == "shown"
    assert "is missing in 50 % of the rows" in found.text


@pytest.mark.parametrize("days", [1, 2])
def test_a_reference_of_one_or_two_days_calls_nothing_unusual(days: int) -> None:
    random = np.random.default_rng(2)
    calibration = calibrate(seeded.reference_of_days([seeded.day(random, rows=300, columns=6) for _ in range(days)]))
    found = seeded.judge(calibration, seeded.day(random, rows=300, columns=6, shift=0.5, shifted=6))
    assert {finding.level for finding in found} == {"unwatched" if days == 1 else "none"}
    if days == 1:
        assert "f0 cannot be watched: the reference has too few blocks" in found[1].text


@pytest.mark.parametrize(
    ("usual", "now", "drifts"),
    [
        (lambda r, n: np.full(n, 1.0), lambda r, n: np.full(n, 1.0), False),
        (lambda r, n: np.full(n, 1.0), lambda r, n: np.full(n, 2.0), True),
        (lambda r, n: np.full(n, 1.0), lambda r, n: np.full(n, 1.0 + 1e-9), True),
        (lambda r, n: np.full(n, 0.0), lambda r, n: (r.random(n) < 0.1) * 1.0, True),
        (lambda r, n: (r.random(n) < 0.3) * 1.0, lambda r, n: (r.random(n) < 0.3) * 1.0, False),
        (lambda r, n: (r.random(n) < 0.3) * 1.0, lambda r, n: (r.random(n) < 0.5) * 1.0, True),
        (lambda r, n: (r.random(n) < 0.3) * 1.0, lambda r, n: np.where(r.random(n) < 0.3, 0.5, 0.0), True),
        (lambda r, n: (r.random(n) < 0.05) * r.random(n), lambda r, n: (r.random(n) < 0.05) * r.random(n), False),
        (lambda r, n: (r.random(n) < 0.05) * r.random(n), lambda r, n: (r.random(n) < 0.15) * r.random(n), True),
        (lambda r, n: np.full(n, np.nan), lambda r, n: np.full(n, 1.0), True),
    ],
)
def test_constants_flags_and_zeros_are_watched(usual, now, drifts: bool) -> None:
    random = np.random.default_rng(4)
    frame = pa.table({"x": pa.array(usual(random, 30 * 500), from_pandas=True)})
    at = np.datetime64("2013-01-01", "us") + np.repeat(np.arange(30), 500) * np.timedelta64(1, "D")
    at = pa.array(at, pa.timestamp("us", "UTC"))
    reference = build_reference(frame, kinds={"x": "float"}, prediction=random.random(15_000), at=at)
    window = count_table(reference.columns, pa.table({"x": pa.array(now(random, 500), from_pandas=True)}))
    found = findings(reference, window, _none(reference))[1]
    assert found.level == ("shown" if drifts else "none"), found.text


numbers = st.one_of(
    st.floats(allow_nan=False), st.sampled_from([0.0, 5e-324, -1e308, math.inf, -math.inf, 0.1, 1e15, 2.0**60])
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["float", "int"]), st.lists(numbers, min_size=1, max_size=4), numbers)
def test_rows_of_a_value_that_few_values_never_held_are_never_as_usual(kind, held, came) -> None:
    if kind == "int":
        held, came = [np.round(np.clip(one, -1e18, 1e18)) for one in held], np.round(np.clip(came, -1e18, 1e18))
    beyond = [float(np.clip(one, -GREATEST, GREATEST)) for one in [came, *held]]
    reference = build_reference(
        pa.table({"x": np.resize(held, 3_000)}), kinds={"x": kind}, prediction=np.arange(3_000) / 3_000,
        at=pa.array(np.datetime64("2013-01-01", "us") + np.repeat(np.arange(30), 100) * np.timedelta64(1, "D")),
    )  # fmt: skip
    for value, usual in ((came, beyond[0] in beyond[1:]), (held[0], True)):
        window = count_table(reference.columns, {"x": np.full(200, value)})
        found = findings(reference, window, _none(reference))[1]
        if not usual:
            assert found.level == "shown", found.text
            assert found.distances.ks >= 1 / len(held) / 2
            assert found.distances.psi > 1
        elif len(set(held)) == 1:
            assert found.level == "none", found.text


@pytest.mark.parametrize("distinct", [500, 15_000])
def test_an_id_as_a_category_cannot_be_watched(distinct: int) -> None:
    ids = [f"i{i % distinct}" for i in range(15_000)]
    days = [ids[i : i + 500] for i in range(0, 15_000, 500)]
    reference = of_texts(days if distinct > 500 else [[f"{i}"] for i in range(30)])
    rows = pa.table({"c": ["i14999"] * 500})  # one value, and no more is seen of it than of as many different ones
    found = findings(reference, count_table(reference.columns, rows), _none(reference))[1]
    assert found.level == "unwatched"
    assert found.text.startswith("c cannot be watched: 100 % of its rows hold values that the reference does not name")


def test_what_never_had_a_value_cannot_be_watched() -> None:
    reference = of_texts([[None] * 100 for _ in range(30)])
    window = count_table(reference.columns, pa.table({"c": pa.array([None] * 100, pa.string())}))
    found = findings(reference, window, _none(reference))[1]
    assert (found.level, found.text) == ("unwatched", "c cannot be watched: it has no value in the reference")
    came = count_table(reference.columns, pa.table({"c": pa.array(["a"] * 100)}))
    assert findings(reference, came, _none(reference))[1].statistic == "nulls"


def test_a_window_without_rows_finds_nothing(watched) -> None:
    calibration = watched[0]
    found = calibration.findings({}, _none(calibration.reference))
    assert {finding.p for finding in found} == {1.0}
    assert {finding.text for finding in found} == {f"{finding.name} has no rows" for finding in found}
    assert {finding.level for finding in found} == {"unwatched"}


def test_prediction_comes_first_then_columns_in_their_order(watched) -> None:
    calibration, days, _ = watched
    names = [finding.name for finding in seeded.judge(calibration, days[0])]
    assert names == [PREDICTION, *(f"f{i}" for i in range(COLUMNS))]


def test_the_users_words_become_a_rate() -> None:
    assert rate_of((1, 90), 1) == pytest.approx(1 / 90)
    assert rate_of((1, 90), 24) == pytest.approx(1 / 2160)
    with pytest.raises(NotAWindow, match="0 false pages in 90 days"):
        rate_of((0, 90), 1)


def test_counts_in_other_cells_are_refused(watched) -> None:
    calibration = watched[0]
    with pytest.raises(NotAWindow, match="f0 has"):
        calibration.findings({"f0": np.zeros(3, dtype=np.int64)}, _none(calibration.reference))
    assert count(calibration.reference.prediction, np.array([0.5])).sum() == 1
