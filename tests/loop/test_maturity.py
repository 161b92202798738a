"""Labels that take their time: what is learnt from, what is judged, and what the gate is then shown."""

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.loop.late_labels import DAY, DAY_S, DAYS, PATTERNS, START, TIME, exponential, frame_of, shown_by_gate, world

from trimtab.declare import Label, ModelSpec, Project, Span
from trimtab.kernel import Invalid
from trimtab.loop.maturity import maturity_of
from trimtab.loop.split import WEIGHT, split_in_time


def _model(project: Project, *, test: float = 60, immature: Any = msgspec.UNSET, **label: object) -> ModelSpec:
    model = project.spec.models[0]
    return msgspec.structs.replace(
        model,
        label=msgspec.structs.replace(model.label, **label),
        test=Span(seconds=test * DAY_S, text=f"last {test:g} days"),
        immature=immature,
    )


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "measured"])
def test_the_gate_is_shown_the_truth_at_its_nominal_rate(project: Project, pattern: str, declared: bool) -> None:
    """Of 95 % intervals at least 88 % hold the true log loss (40 worlds), whoever said when labels are final."""
    model = _model(project, matures_s=31 * DAY_S if declared else msgspec.UNSET)
    held, apart = shown_by_gate(model, pattern, range(40), resamples=100)
    assert held >= 35
    assert abs(apart) < 0.012


@pytest.mark.parametrize("pattern", ["slow negatives", "slow positives"])
def test_without_maturity_the_gate_would_be_shown_something_else(project: Project, pattern: str) -> None:
    model = _model(project, matures_s=1.0)
    frame, truth = world(0, PATTERNS[pattern])
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
    frame = frame_of(day.astype(float), np.where(labels == None, np.nan, late).astype(float), labels == True)  # noqa: E711, E712
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
    frame = frame_of(day, np.where(y, 2.0, wait), y)
    final = frame_of(day + wait, np.zeros(day.size), y)["decided_at"]
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
    frame = frame_of(day, wait, over)
    empty = pa.array((np.nan_to_num(final) * DAY_S * 1e6 + START.timestamp() * 1e6).astype("int64"), mask=~over)
    frame = frame.append_column("label_final_at", empty.cast(TIME))
    known = frame.filter(pa.array(over))
    assert maturity_of(frame, known, label, at=START + DAYS * DAY).after_s == 30 * DAY_S


def test_weighted_rows_bring_training_up_to_the_test_span(project: Project) -> None:
    """With weights, rows of the last month before the test span are learnt from, and their base rate is the truth."""
    frame, _ = world(1, exponential(6, 2))
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
    newest = max(row["label_known_at"] for row in plain.train.to_pylist())
    assert {row[WEIGHT] for row in weighted.train.to_pylist() if row["decided_at"] <= newest - young} == {1}


@pytest.mark.parametrize("immature", ["", "weight"])
@pytest.mark.parametrize("pattern", ["a source that stands still", "outcomes once a week"])
def test_a_source_that_speaks_seldom_gives_no_surplus_of_the_quick_outcome(
    project: Project, pattern: str, immature: str
) -> None:
    """Before the test span no outcome was told for sixteen days, or for up to seven: quick ones were told before."""

    def delays(rng: np.random.Generator, y: np.ndarray, day: np.ndarray) -> np.ndarray:
        at = day + np.where(y, rng.exponential(3, y.size), 30.0)
        if pattern == "outcomes once a week":
            return np.ceil(at / 7) * 7 - day
        return np.where((at > 140) & (at < 160), 160.0, at) - day

    apart = []
    for seed in range(6):
        frame, _ = world(seed, delays)
        model = _model(project, test=14, matures_s=30 * DAY_S, **({"immature": immature} if immature else {}))
        train = split_in_time(frame, model, as_of=START + DAYS * DAY).train
        decided, y = train["decided_at"].to_pylist(), np.asarray(train["label"]).astype(float)
        lately = np.array(decided) > max(decided) - 20 * DAY
        weights = np.asarray(train[WEIGHT]) if immature else np.ones(y.size)
        truth = np.asarray(frame["p"]).mean()
        apart.append((weights * y)[lately].sum() / weights[lately].sum() - truth)
    assert abs(np.mean(apart)) < 0.04


def test_what_is_missing_is_said_with_the_age(project: Project) -> None:
    day = np.linspace(0, 20, 200)
    with pytest.raises(Invalid, match="the train span holds no row with a known outcome that is final, 30d after"):
        split_in_time(
            frame_of(day, np.full(200, 1.0), day % 2 > 1), _model(project, matures_s=30 * DAY_S), as_of=START + 30 * DAY
        )
