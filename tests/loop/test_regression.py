"""A model of a number, from its declaration to its answers and what late outcomes say of them."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.loop.parcels import write_project
from tests.loop.replays import START, opened, replayed

from trimtab.declare import load_project
from trimtab.evaluation import get_evaluation
from trimtab.kernel import Actor
from trimtab.loop import apply_project
from trimtab.monitoring import performance
from trimtab.registry import get_version
from trimtab.serving import decisions
from trimtab.store import Store, verify

NUMBER = {
    "label=Parcel.delay > 50": "label=Parcel.delay, quantile=0.9",
    "from sklearn.linear_model import LogisticRegression": "from sklearn.linear_model import QuantileRegressor",
    "LogisticRegression(C=strength, max_iter=1000)": "QuantileRegressor(quantile=LEARNT, alpha=0.0)",
    "ROWS = 3000": "ROWS, LEARNT = 3000, 0.9",
    "tt.auc >= 0.7, tt.log_loss <= tt.champion.log_loss + 1.0": "tt.pinball <= 4.0, tt.r2 >= 0.0",
}


@pytest.fixture
def number_file(tmp_path: Path) -> Path:
    return write_project(tmp_path / "parcels.py", **NUMBER)


def test_a_quantile_is_judged_by_its_own_loss(store: Store, number_file: Path, actor: Actor) -> None:
    _, (high,) = apply_project(store, load_project(number_file), actor=actor, because="how late at worst")
    median = load_project(write_project(number_file, **NUMBER, **{"3000, 0.9": "3000, 0.5"}))
    _, (low,) = apply_project(store, median, actor=actor, because="how late usually")
    assert (high.passed, low.passed) == (True, False)
    found = {ref: get_evaluation(store, get_version(store, ref).evaluation_id or "") for ref in ("slow@1", "slow@2")}
    losses = {ref: one.report.evaluation.metrics["pinball"].value or 0.0 for ref, one in found.items()}
    assert losses["slow@1"] < 3.2 < 4.0 < losses["slow@2"], "0.9 is missed dearly by a model of the median"
    assert {one.report.evaluation.quantile for one in found.values()} == {0.9}


def test_a_number_is_replayed_with_its_outcomes(number_file: Path, tmp_path: Path) -> None:
    report, _ = replayed(tmp_path / "home", number_file, days=2)
    end = START + timedelta(days=2)
    assert report.decisions == 2 * 48
    with closing(opened(tmp_path / "home", at=end)) as store:
        found = performance(store, "slow", version=1, since=START, until=end)
        assert found.labelled == 2 * 48 - 3
        assert 0 < (found.metrics["mae"].value or 0) < 60
        assert all("prediction" in one.result for one in decisions(store, "slow", limit=200))
        assert verify(store).kind == "intact"
