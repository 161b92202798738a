"""Labels that take their time: what is learnt from, what is judged, and what the gate is then shown."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.declare import Label, ModelSpec, Project, Span
from trimtab.evaluation import evaluate
from trimtab.kernel import Invalid
from trimtab.loop.maturity import maturity_of
from trimtab.loop.split import WEIGHT, split_in_time

START = datetime(2013, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
DAY = timedelta(days=1)
DAY_S = 86400.0
DAYS, ROWS_A_DAY, BASE = 200, 60, -1.5
Delays = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]


def _model(project: Project, *, test: float = 60, immature: str | None = None, **label: object) -> ModelSpec:
    model = project.spec.models[0]
    return msgspec.structs.replace(
        model,
        label=msgspec.structs.replace(model.label, **label),
        test=Span(seconds=test * DAY_S, text=f"last {test:g} days"),
        immature=immature,
    )


def _frame(day: np.ndarray, late: np.ndarray, y: np.ndarray, **more: np.ndarray) -> pa.Table:
    """Rows decided on a day, known so many days later (NaN: never)."""
    decided, known = ((np.asarray(one) * DAY_S * 1e6) for one in (day, day + late))
    origin = int(START.timestamp() * 1e6)
    columns = {
        "decided_at": pa.array((decided + origin).astype("int64"), pa.int64()).cast(TIME),
        "label": pa.array(y.astype(bool), mask=np.isnan(late)),
        "label_known_at": pa.array(np.nan_to_num(known + origin).astype("int64"), mask=np.isnan(late)).cast(TIME),
    }
    for name, values in more.items():
        columns[name] = pa.array(values)
    return pa.table(columns)


def _world(seed: int, delays: Delays) -> tuple[pa.Table, float]:
    """Two hundred days in which nothing changes, of a model that knows the truth; and its true log loss."""
    rng = np.random.default_rng(seed)
    n = DAYS * ROWS_A_DAY
    day = np.sort(rng.uniform(0, DAYS, n))
    p = 1 / (1 + np.exp(-(BASE + rng.normal(0, 1.2, n))))
    y = rng.random(n) < p
    return _frame(day, delays(rng, y, day), y, p=p), float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())


def _exponential(positive: float, negative: float) -> Delays:
    return lambda rng, y, day: np.where(y, rng.exponential(positive, y.size), rng.exponential(negative, y.size))


def _never(rng: np.random.Generator, y: np.ndarray, day: np.ndarray) -> np.ndarray:
    return np.where(rng.random(y.size) < 0.3, np.nan, np.where(y, rng.exponential(3, y.size), 30.0))


def _slower(rng: np.random.Generator, y: np.ndarray, day: np.ndarray) -> np.ndarray:
    return np.where(y, rng.exponential(2 + day / 50, y.size), 15.0 + day / 20)


PATTERNS: dict[str, Delays] = {
    "slow negatives": lambda rng, y, day: np.where(y, rng.exponential(3, y.size), 30.0),
    "slow positives": lambda rng, y, day: np.where(y, 20 + rng.exponential(4, y.size), rng.exponential(0.5, y.size)),
    "both are slow": _exponential(6, 2),
    "some are never known": _never,
    "delays that grow": _slower,
}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "measured"])
def test_the_gate_is_shown_the_truth_at_its_nominal_rate(project: Project, pattern: str, declared: bool) -> None:
    """Of 95 % intervals at least 88 % hold the true log loss (40 worlds), whoever said when labels are final."""
    model = _model(project, matures_s=31 * DAY_S if declared else None)
    held, apart = 0, []
    for seed in range(40):
        frame, truth = _world(seed, PATTERNS[pattern])
        split = split_in_time(frame, model, as_of=START + DAYS * DAY)
        found = evaluate(
            task="classification", y=np.asarray(split.test["label"]), prediction=np.asarray(split.test["p"]),
            measured_at=START, resamples=100,
        ).metrics["log_loss"]  # fmt: skip
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        apart.append(found.value - truth)
    assert held >= 35
    assert abs(np.mean(apart)) < 0.012


@pytest.mark.parametrize("pattern", ["slow negatives", "slow positives"])
def test_without_maturity_the_gate_would_be_shown_something_else(project: Project, pattern: str) -> None:
    model = _model(project, matures_s=1.0)
    frame, truth = _world(0, PATTERNS[pattern])
    test = split_in_time(frame, model, as_of=START + DAYS * DAY).test
    p, y = np.asarray(test["p"]), np.asarray(test["label"])
    assert abs(float(-np.log(np.where(y, p, 1 - p)).mean()) - truth) > 0.02


_ROWS = st.lists(
    st.tuples(st.floats(0, 90), st.floats(0.01, 20), st.sampled_from([True, False, None])), min_size=1, max_size=80
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_ROWS, st.floats(0.5, 20), st.floats(0, 110))
def test_young_rows_are_in_neither_part(project: Project, rows: list, matures: float, as_of: float) -> None:
    model, now = _model(project, test=10, matures_s=matures * DAY_S), START + as_of * DAY
    day, late, labels = (np.array(one, dtype=object) for one in zip(*rows, strict=True))
    frame = _frame(day.astype(float), np.where(labels == None, np.nan, late).astype(float), labels == True)  # noqa: E711, E712
    try:
        split = split_in_time(frame, model, as_of=now)
    except Invalid:
        return
    age = matures * DAY
    assert split.test_until <= now
    assert split.mature_through == split.test_until - age
    assert split.mature_through - split.test_from == 10 * DAY
    for row in split.train.to_pylist():
        assert row["decided_at"] + age <= split.test_from
        assert row["label_known_at"] <= split.test_from
    for row in split.test.to_pylist():
        assert split.test_from <= row["decided_at"] <= split.mature_through
        assert row["label_known_at"] <= now


def test_a_column_says_when_each_row_is_final(project: Project) -> None:
    """Every third row has a month to object to, the others a week: the month decides through when all are judged."""
    model = _model(project, test=30, matures_at="final")
    day = np.linspace(0, DAYS, DAYS * 10, endpoint=False)
    y, wait = np.arange(day.size) % 2 == 0, np.where(np.arange(day.size) % 3 == 0, 30.0, 7.0)
    frame = _frame(day, np.where(y, 2.0, wait), y)
    final = _frame(day + wait, np.zeros(day.size), y)["decided_at"]
    split = split_in_time(frame.append_column("label_final_at", final), model, as_of=START + DAYS * DAY)
    assert (split.maturity.by, split.maturity.after_s) == ("column", 30 * DAY_S)
    for part, at in ((split.train, split.test_from), (split.test, split.test_until)):
        assert all(row["label_final_at"] <= at for row in part.to_pylist())
        assert np.asarray(part["label"]).mean() == pytest.approx(0.5, abs=0.01)


def test_a_column_that_is_empty_until_a_row_is_final_says_the_same(project: Project) -> None:
    label: Label = _model(project, matures_at="final").label
    day = np.linspace(0, DAYS, DAYS * 20, endpoint=False)
    wait = np.where(np.arange(day.size) % 4 == 0, 30.0, 7.0)
    over = day + wait <= DAYS
    final = np.where(over, day + wait, np.nan)
    frame = _frame(day, wait, over)
    empty = pa.array((np.nan_to_num(final) * DAY_S * 1e6 + START.timestamp() * 1e6).astype("int64"), mask=~over)
    frame = frame.append_column("label_final_at", empty.cast(TIME))
    known = frame.filter(pa.array(over))
    assert maturity_of(frame, known, label, at=START + DAYS * DAY).after_s == 30 * DAY_S


def test_weighted_rows_bring_training_up_to_the_test_span(project: Project) -> None:
    """With weights, rows of the last month before the test span are learnt from, and their base rate is the truth."""
    frame, _ = _world(1, _exponential(6, 2))
    plain = split_in_time(frame, _model(project), as_of=START + DAYS * DAY)
    weighted = split_in_time(frame, _model(project, immature="weight"), as_of=START + DAYS * DAY)
    assert WEIGHT not in plain.train.column_names
    assert weighted.test.equals(plain.test)
    young = timedelta(seconds=weighted.maturity.after_s)
    assert max(weighted.train["decided_at"].to_pylist()) > weighted.test_from - young / 4
    assert max(plain.train["decided_at"].to_pylist()) <= plain.test_from - young
    recent = [row for row in weighted.train.to_pylist() if row["decided_at"] > weighted.test_from - young]
    weights, y = (np.array([row[name] for row in recent], float) for name in (WEIGHT, "label"))
    truth = np.asarray(frame["p"]).mean()
    assert (weights * y).sum() / weights.sum() == pytest.approx(truth, abs=0.04)
    assert {row[WEIGHT] for row in weighted.train.to_pylist() if row["decided_at"] <= weighted.test_from - young} == {1}


def test_what_is_missing_is_said_with_the_age(project: Project) -> None:
    day = np.linspace(0, 20, 200)
    with pytest.raises(Invalid, match="the train span holds no row with a known outcome that is final, 30d after"):
        split_in_time(
            _frame(day, np.full(200, 1.0), day % 2 > 1), _model(project, matures_s=30 * DAY_S), as_of=START + 30 * DAY
        )
