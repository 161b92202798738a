"""A recorder's words are quick, are written soon, and none is lost, whatever way the run ends."""

import contextlib
import inspect
import threading
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators
from sklearn.utils._param_validation import generate_valid_param, make_constraint
from tests.waiting import wait_until

import trimtab as tt
from trimtab.kernel import Settings
from trimtab.store import open_store
from trimtab.tracking import (
    BadName,
    NotPackable,
    ParamChanged,
    RunNotRunning,
    RunStatus,
    check_seal,
    current_run,
    find_artifact,
    get_metric,
    get_run,
    list_artifacts,
    list_experiments,
    read_artifact,
    search_runs,
)


class Unreadable:
    def __repr__(self):
        raise ValueError("no text")


def test_everything_that_is_said_is_kept(sqlite_store, record, clock):
    with record(name="first", params={"lr": 0.1, "deep": {"b": [1, 2], "a": None}}, tags={"team": "ops"}) as run:
        run.log_params({"np": np.float64(0.25), "flag": True})
        for n in range(12_000):
            run.log_metric("loss", 1 / (n + 1))
        run.log_metrics({"auc": np.float32(0.5), "odd": float("nan")}, step=7)
        run.log_metric("auc", 0.75, step=np.int64(9), at=clock.now())
        run.set_tag("phase", "end")
        run.log_text("hello", "notes/hello.txt")
        run.log_dict({"a": 1}, "conf.json")
    found = get_run(sqlite_store, run.id)
    assert (found.status, found.name, found.experiment) == (RunStatus.FINISHED, "first", "test")
    assert found.params == {"deep": '{"a":null,"b":[1,2]}', "flag": "True", "lr": "0.1", "np": "0.25"}
    assert found.tags == {"phase": "end", "team": "ops"}
    assert found.metrics["loss"].points == 12_000
    assert found.metrics["loss"].step == 11_999
    assert (found.metrics["auc"].value, found.metrics["auc"].step) == (0.75, 9)
    assert found.metrics["odd"].value is None
    assert [a.name for a in list_artifacts(sqlite_store, run.id)] == ["conf.json", "notes/hello.txt"]
    assert check_seal(sqlite_store, run.id) == ()
    assert found.seal.points == 12_003


def test_steps_count_on_by_themselves(sqlite_store, record):
    with record() as run:
        run.log_metric("x", 1.0)
        run.log_metric("x", 1.0, step=10)
        run.log_metric("x", 1.0)
    assert [p.step for p in get_metric(sqlite_store, run.id, "x").items] == [0, 10, 11]


def test_flush_returns_when_others_can_read_it(another_store, record):
    with record() as run:
        run.log_metric("x", 1.0)
        run.log_param("a", 1)
        run.flush()
        found = get_run(another_store, run.id)
        assert found.metrics["x"].points == 1
        assert found.params == {"a": "1"}
        assert found.status is RunStatus.RUNNING


def test_words_are_written_without_flush(another_store, record):
    with record() as run:
        run.log_metric("x", 1.0)
        wait_until(lambda: get_run(another_store, run.id).metrics, "they are written")


def fail(run, error):
    with run:
        run.log_metric("x", 1.0)
        raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad luck \ud800\x00"), RunStatus.FAILED),
        (KeyboardInterrupt(), RunStatus.KILLED),
        (SystemExit(3), RunStatus.FAILED),
        (SystemExit(0), RunStatus.FINISHED),
    ],
)
def test_the_way_it_ends_is_its_status(sqlite_store, record, error, status):
    run = record()
    with pytest.raises(type(error)):
        fail(run, error)
    found = get_run(sqlite_store, run.id)
    assert found.status is status
    assert found.metrics["x"].points == 1
    if status is RunStatus.FAILED:
        assert found.error == f"{type(error).__name__}: {error}".replace("\ud800\x00", "?␀")


def test_after_the_end_nothing_more_is_taken(record):
    with record() as run:
        run.log_metric("x", 1.0)
    assert run.finish().status is RunStatus.FINISHED
    for word in (
        lambda: run.log_metric("x", 1.0),
        lambda: run.log_param("a", 1),
        lambda: run.set_tag("a", 1),
        lambda: run.log_text("x", "a.txt"),
        lambda: run.log_dataset("sha256:" + "0" * 64),
        run.flush,
    ):
        with pytest.raises(RunNotRunning, match="has ended"):
            word()


def test_mistakes_are_told_at_once(record, tmp_path):
    with record(params={"lr": 1}) as run:
        for wrong in (
            lambda: run.log_text("x", "../x"),
            lambda: run.log_artifact(tmp_path / "nothing.txt"),
            lambda: run.log_dataset("not a digest"),
            lambda: run.log_dataset(object()),
            lambda: run.log_dataset("sha256:" + "0" * 64, role="x" * 50),
            lambda: run.log_dataset("sha256:" + "0" * 64, name="x" * 300),
            lambda: run.log_metrics(5),
            lambda: run.log_params([("a", 1)]),
            lambda: run.set_tags("team"),
            lambda: run.log_bytes("text", "x.bin"),
            lambda: run.log_bytes(b"x", "x.bin", media_type="text/plain\r\nX-Own: 1"),
            lambda: run.log_bytes(b"x", None),
            lambda: run.log_text(b"bytes", "x.txt"),
            lambda: run.log_artifact(None),
            lambda: run.log_dataset("sha256:" + "0" * 64, rows="many"),
            lambda: run.log_dataset(7),
            lambda: tt.run(7),
            lambda: tt.run(experiment=7),
            lambda: tt.run(tags=["a"]),
            lambda: tt.run(parent=7),
        ):
            with pytest.raises(BadName):
                wrong()
        with pytest.raises(ParamChanged):
            run.log_param("lr", 2)
        run.log_param("lr", 1)


def test_a_metric_that_is_no_number_ends_nothing_and_is_not_dropped(sqlite_store, record, caplog):
    with record() as run:
        for value in ("high", [0.1, 0.2], np.array([1.0, 2.0]), Unreadable()):
            run.log_metric("quality", value)
        run.log_metric("loss", None)
        run.log_metric("loss", pd.NA, step=2.0)
        run.log_metric("loss", 10**400, step="last", at="yesterday")
        run.log_metric("loss", 1, step=2**53)
        run.log_metric("loss", 2)
        run.log_metric("a\nb", 1.0)
        run.log_metric(7, np.array([2.0]))
        run.log_metrics(pd.Series({"auc": 0.5}))
    found = get_run(sqlite_store, run.id)
    assert found.tags["metric.quality"].startswith("<tests.tracking.test_recorder.Unreadable")
    points = get_metric(sqlite_store, run.id, "loss").items
    assert [(p.step, p.value) for p in points] == [(0, "nan"), (2, "nan"), (3, "inf"), (2**53, 1), (2**53, 2)]
    assert {key: found.metrics[key].value for key in ("a␊b", "7", "auc")} == {"a␊b": 1.0, "7": 2.0, "auc": 0.5}
    assert [message for message in caplog.messages if "metric 'quality'" in message] == [
        "metric 'quality' was given what is no number: it is kept as the tag 'metric.quality'"
    ]
    assert check_seal(sqlite_store, run.id) == ()


def test_a_value_has_the_same_text_in_every_way_in(sqlite_store, record):
    values = {"weights": {0: np.float32(0.1), 1: 5}, "missing": float("nan"), "cuts": [pd.Timestamp("2024-01-01")]}

    class Model(BaseEstimator):
        def __init__(self, weights=None, missing=None, cuts=None):
            self.weights, self.missing, self.cuts = weights, missing, cuts

    texts = []
    with record(params=values, tags=values) as run:
        run.log_params(values)
    texts += [get_run(sqlite_store, run.id).params, get_run(sqlite_store, run.id).tags]
    with record() as run:
        for key, value in values.items():
            run.log_param(key, value)
        run.set_tags(values)
    texts += [get_run(sqlite_store, run.id).params, get_run(sqlite_store, run.id).tags]
    with record() as run, pytest.raises(NotPackable):  # its parameters are kept all the same
        run.log_model(Model(**values), sample=np.zeros((2, 2)))
    texts.append(get_run(sqlite_store, run.id).params)
    assert texts == [{"cuts": '["2024-01-01T00:00:00"]', "missing": "nan", "weights": '{"0":0.1,"1":5}'}] * 5


def test_values_are_logged_with_what_they_lack(sqlite_store, record, caplog):
    with record() as run:
        run.log_params({"long": "x" * 10_000, "huge": 10**5000, "bad": Unreadable()})
        run.log_params(SimpleNamespace(trees=3))
        run.set_tags({"a\n": 1})
        run.log_dict({"when": datetime(2013, 3, 1), "x": np.array([1.0, float("nan")]), 3: object()}, "x.json")
    found = get_run(sqlite_store, run.id)
    assert found.params["long"].startswith("xxx")
    assert "... [cut: 10000 characters, sha256 " in found.params["long"]
    assert found.params["huge"] == "1" + "0" * 5000
    assert found.params["trees"] == "3"
    assert found.tags["a␊"] == "1"
    assert read_artifact(sqlite_store, find_artifact(sqlite_store, run.id, "x.json")) == (
        b'{\n  "when": "2013-03-01T00:00:00",\n  "x": [\n    1,\n    "nan"\n  ],\n  "3": "<builtins.object>"\n}'
    )
    assert caplog.messages == [
        "parameter 'long' has 10000 characters, of which 8000 are kept: keep all with run.log_dict(value, 'name.json')",
        "parameter 'bad' cannot be written: its tests.tracking.test_recorder.Unreadable raises ValueError",
        "a tag cannot have the name 'a\\n': it is kept as 'a␊'",
        "artifact 'x.json' holds what has no text: it is kept as <builtins.object>",
    ]


class Failing:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "thing",
    [
        None,
        [],
        {},
        {"a": [1]},
        Failing(),
        np.array([1, 2]),
        np.datetime64("NaT"),
        pd.NA,
        10**5000,
        1j,
        "\ud800",
        b"\xff",
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_anything_may_stand_anywhere(sqlite_store, record, thing):
    with record() as run:
        run.log_param(thing, thing)
        run.set_tag(thing, thing)
        run.log_metric(thing, thing, step=thing, at=thing)
        run.log_metric("auc", 0.5, step=thing, at=thing)
        run.log_dict([thing], "thing.json")
    kept = get_run(sqlite_store, run.id)
    assert len(kept.params) == 1
    assert kept.metrics["auc"].value == 0.5
    assert kept.status == RunStatus.FINISHED


def test_a_changed_parameter_does_not_cost_the_others(sqlite_store, record):
    with record(params={"lr": 1}) as run, pytest.raises(ParamChanged):
        run.log_params({"lr": 2, "trees": 5})
    assert get_run(sqlite_store, run.id).params == {"lr": "1", "trees": "5"}


def test_every_parameter_of_a_model_is_logged_beside_the_runs_own(sqlite_store, record):
    X, y = np.array([[0.0], [1.0], [0.0], [1.0]]), [0, 1, 0, 1]
    weighted = LogisticRegression(class_weight={0: 1.0, 1: np.int64(5)}).fit(X, y)
    with record(params={"C": 1.0, "max_iter": 100}) as run:
        run.log_model(weighted, sample=X)  # C is the same value
        run.log_model(LogisticRegression(C=2.0).fit(X, y), sample=X, name="second")
        run.log_model(LogisticRegression(C=3.0).fit(X, y), sample=X, name="second")
        run.log_model(make_pipeline(StandardScaler(), LogisticRegression(C=4.0)).fit(X, y), sample=X, name="last")
    params = get_run(sqlite_store, run.id).params
    names = set(weighted.get_params())
    assert names <= set(params)
    assert (params["C"], params["second.C"], params["second.2.C"]) == ("1.0", "2.0", "3.0")
    assert (params["class_weight"], params["second.class_weight"]) == ('{"0":1,"1":5}', "None")
    assert params["logisticregression__C"] == "4.0"
    assert params["steps"].startswith('[["standardscaler","StandardScaler(')
    assert (params["verbose"], params["last.verbose"]) == ("0", "False")


def test_an_estimator_that_cannot_tell_its_parameters_is_logged_by_its_attributes(sqlite_store, record, caplog):
    class Forgetful(BaseEstimator):
        def __init__(self, depth=3):
            self.deep = depth

    with record() as run, pytest.raises(NotPackable):
        run.log_model(Forgetful(), sample=np.zeros((2, 2)))
    assert get_run(sqlite_store, run.id).params == {"deep": "3"}
    assert "get_params of the Forgetful raises AttributeError" in caplog.text


def estimator_params():
    """Every parameter of every estimator of scikit-learn, with a value of each type that it may have."""
    for name, kind in all_estimators():
        for key, constraints in getattr(kind, "_parameter_constraints", {}).items():
            for n, constraint in enumerate([] if constraints == "no_validation" else constraints):
                # Some constraints, such as an abstract class, have no example.
                with contextlib.suppress(NotImplementedError, TypeError):
                    yield f"{name}.{key}.{n}", generate_valid_param(make_constraint(constraint))


def test_every_type_of_parameter_of_every_estimator_is_logged(sqlite_store, record):
    values = dict(estimator_params())
    assert len(values) > 2500
    with record() as run:
        run.log_params(values)
    kept = get_run(sqlite_store, run.id).params
    assert set(kept) == set(values)
    assert not [key for key, text in kept.items() if "which raises" in text or (not text and values[key] != "")]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_defaults_of_every_estimator_are_logged(sqlite_store, record):
    values = {}
    for name, kind in all_estimators():
        needs = [p for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
        made = kind(*([LogisticRegression()] * len(needs)))
        values |= {f"{name}.{key}": value for key, value in made.get_params(deep=not needs).items()}
    with record() as run:
        run.log_params(values)
    assert set(get_run(sqlite_store, run.id).params) == set(values)


BOOSTING = {
    "objective": log_loss, "eval_metric": ["auc", log_loss], "missing": float("nan"), "base_score": np.float32(0.5),
    "class_weight": {0: 1.0, 1: 5.0}, "monotone_constraints": {"a": 1}, "interaction_constraints": [["a", "b"], [2]],
    "feature_types": np.array(["q", "c"]), "random_state": np.random.RandomState(3), "n_jobs": np.int64(2),
    "callbacks": [SimpleNamespace(rounds=5)], "max_bin": None, "enable_categorical": True, "scale_pos_weight": 2**60,
    "feature_weights": pd.Series([1.0, 2.0]), "learning_rate": iter((0.1, 0.05)), "base_margin": np.float64("inf"),
}  # fmt: skip
"""What the parameters of XGBoost's and LightGBM's estimators may be, by their documentation."""


def test_the_parameters_of_boosting_libraries_are_logged(sqlite_store, record):
    with record() as run:
        run.log_params(BOOSTING)
    kept = get_run(sqlite_store, run.id).params
    assert set(kept) == set(BOOSTING)
    assert kept["eval_metric"] == '["auc","sklearn.metrics._classification.log_loss"]'
    assert kept["missing"] == "nan"
    assert kept["feature_types"] == '["q","c"]'


@pytest.mark.parametrize(("package", "name"), [("xgboost", "XGBClassifier"), ("lightgbm", "LGBMClassifier")])
def test_an_installed_boosting_library_is_logged_whole(sqlite_store, record, package, name):
    made = getattr(pytest.importorskip(package), name)(**{key: BOOSTING[key] for key in ("objective", "random_state")})
    with record() as run, pytest.raises(NotPackable):
        run.log_model(made, sample=np.zeros((2, 2)))
    assert set(get_run(sqlite_store, run.id).params) == set(made.get_params())


def test_bytes_and_paths_come_in_several_kinds(sqlite_store, record):
    with record() as run:
        run.log_bytes(bytearray(b"one"), "a.bin")
        run.log_bytes(memoryview(b"two"), Path("some/b.bin"))
    assert [artifact.name for artifact in list_artifacts(sqlite_store, run.id)] == ["a.bin", "some/b.bin"]


def test_data_is_linked_by_its_values(sqlite_store, record):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.to_datetime(["2013-01-01", "2013-01-02"])})
    with record() as run:
        digests = {
            run.log_dataset(frame, role="pandas"),
            run.log_dataset(pl.from_pandas(frame), role="polars"),
            run.log_dataset(pa.Table.from_pandas(frame), role="arrow"),
        }
        other = run.log_dataset(np.array([[1.0, 2.0], [3.0, 4.0]]), role="matrix")
        digest = run.log_dataset("sha256:" + "0" * 64, name="by hand", rows=7)
    assert len(digests) == 1
    assert other not in digests
    links = {link.role: link for link in get_run(sqlite_store, run.id).datasets}
    assert set(links) == {"pandas", "polars", "arrow", "matrix", "train"}
    assert (links["train"].digest, links["train"].name, links["train"].rows) == (digest, "by hand", 7)
    assert links["pandas"].rows == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([Decimal("0.1"), Decimal("12345678901234567.89")], [Decimal("0.1"), Decimal("12345678901234567.88")]),
        ([Decimal(2**60)], [Decimal(2**60 + 1)]),
        ([Decimal(10**30)], [Decimal(10**30 + 1)]),
        ([Decimal(10**30 + 10), Decimal(1)], [Decimal(10**29 + 1), Decimal(1)]),
        (np.array([2**64 - 1], np.uint64), np.array([2**64 - 2], np.uint64)),
        (np.array(["2013-01-01T00:00:00.000000001"], "M8[ns]"), np.array(["2013-01-01T00:00:00"], "M8[ns]")),
    ],
)
def test_data_that_differs_in_its_last_digit_is_other_data(record, first, second):
    with record() as run:
        assert run.log_dataset(pa.table({"a": first})) != run.log_dataset(pa.table({"a": second}))


def test_decimals_are_the_numbers_that_they_write(record):
    decimals = pa.table({"a": [Decimal("0.10"), None, Decimal("2.50")], "n": [Decimal(2**52), Decimal(7), None]})
    with record() as run:
        floats = pa.table({"a": [0.1, None, 2.5], "n": [float(2**52), 7.0, None]})
        assert run.log_dataset(decimals) == run.log_dataset(floats)
        whole = pa.table({"n": pa.array([2**60 + 1, 7], pa.int64())})
        assert run.log_dataset(pa.table({"n": [Decimal(2**60 + 1), Decimal(7)]})) == run.log_dataset(whole)


def test_run_writes_to_the_store_of_the_folder_and_nests(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIMTAB_SERVER", raising=False)
    with tt.run("outer", experiment="late", capture=()) as outer:
        assert current_run() is outer
        with tt.run("inner", capture=()) as inner:
            inner.log_metric("x", 1.0)
            assert current_run() is inner
        assert current_run() is outer
        outer.log_metric("y", 1.0)
    assert current_run() is None
    store = open_store(Settings(home=str(tmp_path / ".trimtab")))
    assert get_run(store, inner.id).parent_id == outer.id
    assert get_run(store, inner.id).experiment == "late"
    assert [run.name for run in search_runs(store, "parent IS NULL").items] == ["outer"]
    assert [e.name for e in list_experiments(store)] == ["late"]
    store.close()
    with pytest.raises(BadName, match="there is no 'everything' to capture"):
        tt.run("x", capture=("everything",))


def test_threads_may_log_to_one_run(sqlite_store, record):
    with record() as run:

        def work(name):
            for n in range(3000):
                run.log_metric(name, n, step=n)

        threads = [threading.Thread(target=work, args=(f"m{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    metrics = get_run(sqlite_store, run.id).metrics
    assert {name: measured.points for name, measured in metrics.items()} == {f"m{n}": 3000 for n in range(4)}
