"""Performance: the sums say what scikit-learn says of the rows, for whole and broken hours, versions and slices."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.monitoring.served import ACTOR, HOUR, ORIGINS, START, Served, move
from tests.registry.cases import evaluated, registered
from tests.serving.late import FakeReleases, route

from trimtab.evaluation import FEWEST_ROWS, evaluate
from trimtab.kernel import TrimtabError, digest_of_bytes
from trimtab.monitoring import Outcome, performance, record_outcomes, watch
from trimtab.monitoring.sums import LARGEST
from trimtab.store import Store

DAY = timedelta(days=1)


def lived(
    store: Store, *, n_hours: int = 6, each: int = 30, known: float = 0.8, task: str = "classification",
    endpoint: str = "late",
) -> Any:  # fmt: skip
    """Some hours of decisions of two versions, most of them with an outcome; return moments, scores, outcomes."""
    served = Served(store, endpoint, task=task)
    random = np.random.default_rng(3)
    rows: list[tuple[Any, ...]] = []
    said = []
    for hour in range(n_hours):
        for i in range(each):
            at = START + hour * HOUR + HOUR * (i / each)
            move(store, at)
            version = 1 + (i % 3 == 0)
            score = float(random.beta(2, 4)) if task == "classification" else float(random.normal(100, 20))
            (id_,) = served.decide([score], at=at, version=version, values=[[1.0, ORIGINS[i % 3]]])
            y = float(random.random() < score) if task == "classification" else score + float(random.normal(0, 10))
            has = random.random() < known
            rows.append((at, version, score, y, has, ORIGINS[i % 3]))
            if has:
                said.append(Outcome(decision=id_, value=y))
    move(store, START + n_hours * HOUR)
    watch(store, endpoint, until=START + n_hours * HOUR)
    record_outcomes(store, endpoint, said, actor=ACTOR)
    return rows


def of(rows: Any, since: Any, until: Any, version: int | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    mine = [row for row in rows if since <= row[0] < until and version in (None, row[1])]
    y = np.array([row[3] for row in mine if row[4]])
    return y, np.array([row[2] for row in mine if row[4]]), len(mine)


@pytest.mark.parametrize("version", [1, 2, None])
@pytest.mark.parametrize(("since", "until"), [(0.0, 6.0), (1.0, 3.0), (0.5, 4.25), (2.1, 2.6), (2.5, 3.0), (3.5, 4.5)])
def test_sums_agree_with_the_rows(store: Store, version: int | None, since: float, until: float) -> None:
    rows = lived(store)
    span = (START + since * HOUR, START + until * HOUR)
    y, p, n = of(rows, *span, version)
    found = performance(store, "late", version=version, since=span[0], until=span[1])
    assert (found.decisions, found.labelled, found.task) == (n, y.size, "classification")
    assert found.waiting == pytest.approx((n - y.size) / n)
    assert found.value("log_loss") == pytest.approx(sk.log_loss(y, p, labels=[0, 1]), rel=1e-12)
    assert found.value("brier") == pytest.approx(sk.brier_score_loss(y, p), rel=1e-12)
    assert found.value("accuracy") == pytest.approx(sk.accuracy_score(y, p >= 0.5), rel=1e-12)
    assert found.value("predicted") == pytest.approx(p.mean(), rel=1e-12)
    assert found.value("observed") == pytest.approx(y.mean(), rel=1e-12)
    loss = found.metrics["log_loss"]
    each = -np.log(np.where(y > 0, p, 1 - p))
    half = 1.959963984540054 * each.std(ddof=1) / np.sqrt(y.size)
    if y.size < FEWEST_ROWS:
        assert (loss.low, loss.high, loss.why) == (None, None, "too few rows for an interval")
    else:
        assert (loss.low, loss.high) == (pytest.approx(each.mean() - half), pytest.approx(each.mean() + half))


def test_a_regression(store: Store) -> None:
    rows = lived(store, task="regression")
    y, p, n = of(rows, START, START + DAY, 1)
    found = performance(store, "late", version=1, since=START, until=START + DAY)
    assert (found.decisions, found.task) == (n, "regression")
    assert found.value("rmse") == pytest.approx(sk.root_mean_squared_error(y, p), rel=1e-12)
    assert found.value("mae") == pytest.approx(sk.mean_absolute_error(y, p), rel=1e-12)
    assert found.value("r2") == pytest.approx(sk.r2_score(y, p), rel=1e-9)
    low, value, high = (getattr(found.metrics["rmse"], name) for name in ("low", "value", "high"))
    assert low < value < high


@pytest.mark.parametrize("score", [0.1, 0.3, 0.5, 0.9, 0.0, 1.0])
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_losses_that_are_all_equal_have_the_interval_of_an_evaluation(
    sqlite_store: Store, score: float, outcome: float
) -> None:
    found = alike(sqlite_store, "classification", score, outcome)
    y, p = np.full(30, outcome) > 0.5, np.full(30, score)
    expected = evaluate(task="classification", y=y, prediction=p, measured_at=START, resamples=50).metrics
    for name in ("log_loss", "brier", "accuracy"):
        low, high = (getattr(found.metrics[name], end) for end in ("low", "high"))
        assert low <= found.value(name) <= high
        assert high - low > 0
        assert (low, high) == (pytest.approx(expected[name].low), pytest.approx(expected[name].high)), name


def test_errors_that_are_all_equal_have_no_interval_of_width_zero(sqlite_store: Store) -> None:
    found = alike(sqlite_store, "regression", 100.0, 90.0)
    assert (found.value("rmse"), found.value("mae"), found.value("observed")) == (10.0, 10.0, 90.0)
    for name in ("rmse", "mae", "observed"):
        assert (found.metrics[name].low, found.metrics[name].high) == (None, None)
        assert found.metrics[name].why == "all rows are alike, which gives no interval"


@pytest.mark.parametrize("endpoint", ["late", "late-eu"])
def test_the_pinball_loss_is_that_of_the_quantile_that_the_version_predicts(sqlite_store: Store, endpoint: str) -> None:
    rows = lived(sqlite_store, task="regression", endpoint=endpoint)
    p, now = np.arange(60.0), sqlite_store.clock.now()
    found = evaluate(task="regression", y=p[::-1], prediction=p, measured_at=now, quantile=0.9, resamples=20)
    registered(sqlite_store, evaluation_id=evaluated(sqlite_store, found=found))
    releases = FakeReleases()
    releases.release(sqlite_store, 1, None, digest=digest_of_bytes(b"model"))
    route(sqlite_store, releases, endpoint=endpoint)
    for version, alpha in ((1, 0.9), (None, 0.9), (2, 0.5)):  # of version 2 nothing was kept
        y, p, _ = of(rows, START, START + DAY, version)
        said = performance(
            sqlite_store, endpoint, version=version, since=START, until=START + DAY, metrics=["pinball"],
            slices=["origin"],
        )  # fmt: skip
        assert said.value("pinball") == pytest.approx(sk.mean_pinball_loss(y, p, alpha=alpha))
        parts = [(one.n, one.metrics["pinball"].value) for one in said.slices["origin"] if one.metrics]
        if len(parts) == len(said.slices["origin"]):
            assert sum(n * (value or 0.0) for n, value in parts) / y.size == pytest.approx(said.value("pinball"))


def alike(store: Store, task: str, score: float, outcome: float) -> Any:
    """Performance on thirty decisions that are all the same."""
    move(store, START)
    ids = Served(store, task=task).decide([score] * 30, at=START, version=1, values=[[1.0, ORIGINS[0]]] * 30)
    move(store, START + HOUR)
    watch(store, "late", until=START + HOUR)
    record_outcomes(store, "late", [Outcome(decision=id_, value=outcome) for id_ in ids], actor=ACTOR)
    return performance(store, "late", version=1, since=START, until=START + HOUR)


def test_the_largest_outcomes_that_are_taken_have_finite_figures(sqlite_store: Store) -> None:
    served = Served(sqlite_store, task="regression")
    move(sqlite_store, START)
    scores = [LARGEST, -LARGEST, -LARGEST] * 20
    ids = served.decide(scores, at=START, values=[[1.0, "EWR"]] * len(scores))
    move(sqlite_store, START + HOUR)
    watch(sqlite_store, "late", until=START + HOUR)
    said = [Outcome(decision=id_, value=-score) for id_, score in zip(ids, scores, strict=True)]
    record_outcomes(sqlite_store, "late", said, actor=ACTOR)
    found = performance(sqlite_store, "late", version=1, since=START, until=START + HOUR).metrics
    assert found["rmse"].value == pytest.approx(2 * LARGEST)
    numbers = [number for one in found.values() for number in (one.value, one.low, one.high) if number is not None]
    assert len(numbers) > len(found)
    assert np.isfinite(numbers).all()


def test_other_metrics_come_from_the_rows(store: Store) -> None:
    rows = lived(store)
    y, p, _ = of(rows, START, START + DAY, 1)
    found = performance(store, "late", version=1, since=START, until=START + DAY, metrics=("auc", "recall"))
    assert found.value("auc") == pytest.approx(sk.roc_auc_score(y, p), rel=1e-12)
    assert found.value("recall") == pytest.approx(sk.recall_score(y, p >= 0.5), rel=1e-12)
    assert found.metrics["auc"].method.startswith("DeLong")
    with pytest.raises(TrimtabError, match="no metric of a classification"):
        performance(store, "late", version=1, since=START, until=START + DAY, metrics=("rmse",))


def test_slices_by_a_feature(store: Store) -> None:
    rows = lived(store, each=120)
    found = performance(store, "late", version=1, since=START, until=START + DAY, slices=("origin",))
    by = {one.value: one for one in found.slices["origin"]}
    assert set(by) == {"JFK", "LGA"}  # every third row, with EWR, went to version 2
    for origin, one in by.items():
        mine = [row for row in rows if row[1] == 1 and row[4] and row[5] == origin]
        y, p = np.array([row[3] for row in mine]), np.array([row[2] for row in mine])
        assert one.n == y.size
        assert one.metrics["auc"].value == pytest.approx(sk.roc_auc_score(y, p), rel=1e-12)
    with pytest.raises(TrimtabError, match="has a feature 'colour'"):
        performance(store, "late", version=1, since=START, until=START + DAY, slices=("colour",))


def test_a_shadow_is_measured_and_not_counted_among_what_answered(store: Store) -> None:
    served = Served(store)
    ids = served.decide([0.2, 0.8], at=START)
    served.decide([0.9, 0.1], at=START, version=2, stage="shadow", mirrors=ids)
    record_outcomes(store, "late", [Outcome(decision=id_, value=i) for i, id_ in enumerate(ids)], actor=ACTOR)
    span: Any = {"since": START, "until": START + HOUR}
    assert performance(store, "late", version=2, **span).value("log_loss") == pytest.approx(-np.log(0.1))
    assert performance(store, "late", version=None, **span).decisions == 2
    assert performance(store, "late", version=2, stages=("full",), **span).decisions == 0


def test_nothing_is_known_yet(store: Store) -> None:
    span: Any = {"version": 1, "since": START, "until": START + HOUR}
    nobody = performance(store, "late", **span)
    assert (nobody.task, nobody.decisions, nobody.waiting, nobody.metrics) == (None, 0, None, {})
    Served(store).decide([0.5], at=START)
    watch(store, "late", until=START)
    waiting = performance(store, "late", metrics=("auc",), slices=("origin",), **span)
    assert (waiting.decisions, waiting.labelled, waiting.waiting) == (1, 0, 1.0)
    assert waiting.metrics["log_loss"].value is None
    assert waiting.metrics["auc"].why == "no outcome is known yet"
    assert waiting.slices == {"origin": ()}


@pytest.mark.parametrize(
    ("since", "until"),
    [(START, START), (START + HOUR, START), (START.replace(tzinfo=None), START + HOUR)],
)
def test_a_span_that_is_none(store: Store, since: Any, until: Any) -> None:
    with pytest.raises(TrimtabError) as caught:
        performance(store, "late", version=1, since=since, until=until)
    assert caught.value.code == "monitoring.bad-span"
    assert all(caught.value.parts().values())
