"""A metric as a curve: every step once, with the value of its latest moment, however much was logged."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.kernel import Actor
from trimtab.store import Store
from trimtab.tracking import (
    Batch,
    MetricPoint,
    Run,
    StartRun,
    declared_direction,
    get_run,
    log_batch,
    metric_curve,
    open_run,
    start_run,
)


def logged(store: Store, actor: Actor, points: list[tuple[int, int, float]], key: str = "x") -> str:
    run = open_run(store, StartRun(experiment="curves"), actor=actor)
    found = tuple(MetricPoint(key, step, at, "nan" if math.isnan(value) else value) for step, at, value in points)
    log_batch(store, run.id, Batch(writer="w", number=1, points=found))
    return run.id


def test_more_points_than_any_page_are_all_there(store: Store, actor: Actor) -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=25_000)
    id_ = logged(store, actor, [(step, step, float(value)) for step, value in enumerate(values)])
    curve = metric_curve(store, id_, "x")
    assert curve.logged == 25_000
    assert (curve.steps == np.arange(25_000)).all()
    assert (curve.values == values).all(), "to the last bit"


def test_of_several_values_at_one_step_the_latest_moment_counts(store: Store, actor: Actor) -> None:
    points = [(3, 50, 1.0), (1, 10, 2.0), (3, 40, 3.0), (1, 10, 4.0), (2, 5, math.nan)]
    id_ = logged(store, actor, points)
    curve = metric_curve(store, id_, "x")
    assert (curve.steps.tolist(), curve.logged) == ([1, 2, 3], 5)
    assert curve.values[[0, 2]].tolist() == [4.0, 1.0]
    assert math.isnan(curve.values[1])
    assert get_run(store, id_).metrics["x"].value == curve.values[-1]
    assert metric_curve(store, id_, "nothing").logged == 0
    assert metric_curve(store, id_, "nothing").steps.size == 0


STEPS = st.one_of(st.integers(-(2**53), 2**53), st.integers(0, 5))
POINTS = st.lists(st.tuples(STEPS, st.integers(0, 10), st.floats(allow_nan=False)), min_size=1, max_size=30)


def test_the_last_of_a_curve_is_the_value_of_the_run(sqlite_store: Store, actor: Actor) -> None:
    @given(POINTS)
    def holds(points: list[tuple[int, int, float]]) -> None:
        finite = [(step, at, value) for step, at, value in points if math.isfinite(value)]
        if not finite:
            return
        id_ = logged(sqlite_store, actor, finite)
        curve, run = metric_curve(sqlite_store, id_, "x"), get_run(sqlite_store, id_)
        assert curve.steps.tolist() == sorted({step for step, _, _ in finite})
        assert (curve.steps[-1], curve.values[-1]) == (run.metrics["x"].step, run.metrics["x"].value)
        assert curve.logged == run.metrics["x"].points

    holds()


def test_a_direction_is_what_the_runs_say(sqlite_store: Store, actor: Actor) -> None:
    def one(better: str | None) -> Run:
        run = start_run(sqlite_store, experiment="e", name="n", actor=actor, capture=())
        run.log_metric("loss", 0.5)
        if better:
            run.define_metric("loss", better=better)  # type: ignore[arg-type]
        return get_run(sqlite_store, run.finish().id)

    none, lower, higher = one(None), one("lower"), one("higher")
    assert declared_direction([none], "loss") is None
    assert declared_direction([none, lower], "loss") == "lower"
    assert declared_direction([higher], "loss") == "higher"
    assert declared_direction([lower, higher], "loss") is None, "they do not agree"
    assert declared_direction([lower], "other") is None


def test_a_direction_that_is_none_is_refused(sqlite_store: Store, actor: Actor) -> None:
    from trimtab.tracking import BadName

    run = start_run(sqlite_store, experiment="e", name="n", actor=actor, capture=())
    with pytest.raises(BadName, match="no direction"):
        run.define_metric("loss", better="less")  # type: ignore[arg-type]
    run.finish()
