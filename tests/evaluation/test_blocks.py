"""Means over spans of time: right on any rows, in any order, and with the variance that single rows explain."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.cases import NOW, measured, rows

from trimtab.evaluation import (
    DAY_S,
    QUARTER_S,
    Blocks,
    Comparison,
    Evaluation,
    blocks_of,
    compare,
    evaluate,
    log_losses,
)

HOUR_US = 3_600_000_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(-50, 300)), min_size=1, max_size=60))
def test_each_block_is_the_mean_of_its_rows(found: list[tuple[float, int]]) -> None:
    values, hours = np.array([value for value, _ in found]), np.array([hour for _, hour in found])
    blocks = blocks_of(values, hours * HOUR_US, span_s=QUARTER_S)
    numbers = hours // 6
    assert blocks.at == tuple(sorted(set(numbers.tolist())))
    assert sum(blocks.rows) == values.size
    parts = [values[numbers == at] for at in blocks.at]
    assert blocks.means == pytest.approx([part.mean() for part in parts], abs=1e-9)
    freedom = values.size - len(parts)
    of_one_row = sum(((part - part.mean()) ** 2).sum() for part in parts) / freedom if freedom else 0.0
    assert blocks.variances == pytest.approx([of_one_row / part.size for part in parts], abs=1e-9)
    backwards = blocks_of(values[::-1], hours[::-1] * HOUR_US, span_s=QUARTER_S)
    assert (backwards.at, backwards.rows) == (blocks.at, blocks.rows)
    assert backwards.means == pytest.approx(blocks.means, abs=1e-9)


def test_rows_without_a_number_are_left_out() -> None:
    found = blocks_of([1.0, np.nan, 3.0, np.inf], [0, 0, 0, DAY_S * 1_000_000], span_s=DAY_S)
    assert (found.at, found.rows, found.means) == ((0,), (2,), (2.0,))
    assert len(blocks_of([], [], span_s=DAY_S)) == 0


def test_errors_whose_squares_are_no_numbers_have_no_blocks_and_can_be_read_again() -> None:
    random = np.random.default_rng(0)
    y, p, q = random.normal(size=(3, 400)) * 1e80
    moments = np.datetime64("2013-02-01") + np.arange(400) * np.timedelta64(30, "m")
    found = evaluate(task="regression", y=y, prediction=p, measured_at=NOW, moments=moments, resamples=20)
    pair = compare(task="regression", y=y, champion=p, challenger=q, moments=moments, resamples=20)
    assert found.days is not None
    assert pair.blocks is not None
    assert (len(found.days), len(pair.blocks)) == (0, 0)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found
    assert msgspec.json.decode(msgspec.json.encode(pair), type=Comparison) == pair


def test_an_evaluation_and_a_comparison_keep_theirs() -> None:
    y, p, _ = rows(400)
    moments = np.datetime64("2013-02-01") + np.arange(400) * np.timedelta64(30, "m")
    found = measured(400, moments=moments)
    assert found.days is not None
    assert len(found.days) == 9
    day = moments.astype("datetime64[D]") == np.datetime64("2013-02-01")
    assert found.days.means[0] == pytest.approx(log_losses(y, p)[day].mean())
    other = np.clip(p + 0.1, 0.01, 0.99)
    pair = compare(task="classification", y=y, champion=p, challenger=other, moments=moments, resamples=20)
    assert pair.blocks is not None
    assert len(pair.blocks) == 34
    assert np.average(pair.blocks.means, weights=pair.blocks.rows) == pytest.approx(
        pair.metrics["log_loss"].difference.value
    )


def test_reports_from_before_there_were_blocks_are_still_read() -> None:
    found = measured(60)
    assert found.days is None
    old = msgspec.to_builtins(found)
    del old["days"]
    assert msgspec.convert(old, Evaluation) == found
    assert found.measured_at == NOW


def test_blocks_survive_json() -> None:
    found = blocks_of([1.0, 2.0, 4.0], [0, 1, 25 * HOUR_US], span_s=DAY_S)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Blocks) == found
