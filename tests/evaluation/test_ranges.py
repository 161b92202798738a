"""An interval holds its value, has a width, and ends where the metric does, whatever the rows and the groups are."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import NOW

from trimtab.evaluation import MetricValue, compare, evaluate, fairness_gap, gap, metrics_of, range_of, worst
from trimtab.evaluation.fairness import GAPS

answers = st.sampled_from(["as likely", "equal", "perfect", "all wrong", "0 or 1"])


def check(name: str, found: MetricValue, *, least: float, most: float) -> None:
    if found.value is None or found.low is None or found.high is None:
        assert found.why, name
        return
    assert least - 1e-12 <= found.low <= found.value <= found.high <= most + 1e-12, (name, found)
    assert found.low < found.high, (name, found)


def drawn(random: np.random.Generator, how: str, n: int, rate: float) -> tuple[Any, Any]:
    p = np.clip(rate + 0.2 * random.normal(size=n), 0.0, 1.0)
    y = random.random(n) < p
    return y, {
        "as likely": p, "equal": np.full(n, rate), "perfect": y.astype(float), "all wrong": 1.0 - y,
        "0 or 1": random.integers(0, 2, n).astype(float),
    }[how]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 50), st.integers(30, 60), answers, st.floats(0.01, 0.99), st.sampled_from(["", "none", "all"]),
    st.integers(0, 99),
)  # fmt: skip
def test_of_groups_and_of_all_rows(groups: int, size: int, how: str, rate: float, first: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    y, p = drawn(random, how, groups * size, rate)
    if first:
        y[:size] = first == "all"
    of = np.repeat([f"g{i}" for i in range(groups)], size)
    found = evaluate(task="classification", y=y, prediction=p, measured_at=NOW, slices={"of": of}, resamples=50)
    for name in metrics_of("classification"):
        least, most = range_of(name)
        every = [found.metrics[name], worst(found, name, by="of").value]
        for value in (*every, *(one.metrics[name] for one in found.slices["of"])):
            check(name, value, least=least, most=most)
        check(f"gap of {name}", gap(found, name, by="of").value, least=0.0, most=most - least)
    for name in GAPS:
        check(name, fairness_gap(found, name, by="of").value, least=0.0, most=1.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), answers, answers, st.floats(0.01, 0.99), st.integers(0, 99))
def test_of_a_difference(n: int, how: str, other: str, rate: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    y, p = drawn(random, how, n, rate)
    second = drawn(random, other, n, rate)[1]
    for name, one in compare(task="classification", y=y, champion=p, challenger=second, resamples=50).metrics.items():
        found, (least, most) = one.difference, range_of(name)
        if found.value is not None and found.low is not None and found.high is not None:
            assert least - most - 1e-12 <= found.low <= found.value <= found.high <= most - least + 1e-12, (name, found)


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1.0, 1e155, 1e300])
@pytest.mark.parametrize("wrong", [True, False])
def test_of_numbers_of_any_size(unit: float, wrong: bool) -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=80)
    p = y + random.normal(size=80) if wrong else np.full(80, 2.0)
    found = evaluate(task="regression", y=y * unit, prediction=p * unit, measured_at=NOW, resamples=50).metrics
    plain = evaluate(task="regression", y=y, prediction=p, measured_at=NOW, resamples=50).metrics
    for name, one in found.items():
        check(name, one, least=range_of(name)[0], most=range_of(name)[1])
        known = plain[name].value
        assert known is not None
        assert one.value == pytest.approx(known * (1.0 if name == "r2" else unit), rel=1e-9, abs=5e-324)


def test_what_a_metric_can_be() -> None:
    assert range_of("auc") == (0.0, 1.0)
    assert range_of("log_loss") == (0.0, math.inf)
    assert range_of("r2") == (-math.inf, 1.0)
