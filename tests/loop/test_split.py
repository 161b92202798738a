"""Splitting in time: nothing that was learnt from could have been seen after the test span began."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.declare import Project
from trimtab.kernel import Invalid
from trimtab.loop.split import split_in_time

START = datetime(2013, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
DAY = timedelta(days=1)


def _frame(rows: list[tuple[float, float, bool | None]]) -> pa.Table:
    """Rows as (decided, days until the label is known, label)."""
    decided = [START + timedelta(days=day) for day, _, _ in rows]
    known = [
        None if label is None else at + timedelta(days=late) for at, (_, late, label) in zip(decided, rows, strict=True)
    ]
    return pa.table(
        {
            "decided_at": pa.array(decided, TIME),
            "label": pa.array([label for *_, label in rows], pa.bool_()),
            "label_known_at": pa.array(known, TIME),
        }
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.floats(0.01, 5), st.sampled_from([True, False, None])), min_size=1, max_size=60
    ),
    st.floats(0, 70),
)
def test_training_rows_were_known_before_the_test_span(project: Project, rows: list, as_of: float) -> None:
    model = project.spec.models[0]
    now = START + timedelta(days=as_of)
    try:
        split = split_in_time(_frame(rows), model, as_of=now)
    except Invalid:
        return
    assert split.test_until <= now
    assert split.test_until - split.test_from == 7 * DAY
    for row in split.train.to_pylist():
        assert row["decided_at"] < split.test_from
        assert row["label_known_at"] <= split.test_from
    for row in split.test.to_pylist():
        assert row["decided_at"] >= split.test_from
        assert row["label_known_at"] <= now
    usable = [r for r in _frame(rows).to_pylist() if r["label"] is not None and r["label_known_at"] <= now]
    assert split.test.num_rows == sum(row["decided_at"] >= split.test_from for row in usable)


def test_one_class_only_cannot_be_learnt(project: Project) -> None:
    rows = [(day / 2, 0.1, True) for day in range(60)]
    with pytest.raises(Invalid, match="every outcome in the train span is the same"):
        split_in_time(_frame(rows), project.spec.models[0], as_of=START + 90 * DAY)


def test_no_outcome_known_yet(project: Project) -> None:
    with pytest.raises(Invalid, match="no outcome is known yet"):
        split_in_time(_frame([(10, 1, True)]), project.spec.models[0], as_of=START)
