"""A recorder's words are quick, are written soon, and none is lost, whatever way the run ends."""

import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.waiting import wait_until

import trimtab as tt
from trimtab.kernel import Settings
from trimtab.store import open_store
from trimtab.tracking import (
    BadName,
    ParamChanged,
    RunNotRunning,
    RunStatus,
    check_seal,
    current_run,
    get_metric,
    get_run,
    list_artifacts,
    list_experiments,
    search_runs,
)


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
            lambda: run.log_metric("", 1.0),
            lambda: run.log_metric("x", "high"),
            lambda: run.log_metric("x", None),
            lambda: run.log_metric("x", 10**400),
            lambda: run.log_metric("x", 1.0, step=1.5),
            lambda: run.log_metric("x", 1.0, step=2**60),
            lambda: run.log_param("a", "x" * 10_000),
            lambda: run.set_tags({"a\n": 1}),
            lambda: run.log_text("x", "../x"),
            lambda: run.log_artifact(tmp_path / "nothing.txt"),
            lambda: run.log_dataset("not a digest"),
            lambda: run.log_dataset(object()),
            lambda: run.log_dataset("sha256:" + "0" * 64, role="x" * 50),
            lambda: run.log_dataset("sha256:" + "0" * 64, name="x" * 300),
            lambda: run.log_metric(["x"], 1.0),
            lambda: run.log_metric("x", 1.0, at=datetime(2013, 3, 1)),
            lambda: run.log_metric("x", 1.0, at="2013-03-01"),
            lambda: run.log_params([("a", 1)]),
            lambda: run.log_param("a", 10**5000),
            lambda: run.set_tags("team"),
            lambda: run.log_bytes("text", "x.bin"),
            lambda: run.log_bytes(b"x", "x.bin", media_type="text/plain\r\nX-Own: 1"),
            lambda: run.log_bytes(b"x", None),
            lambda: run.log_text(b"bytes", "x.txt"),
            lambda: run.log_dict(object(), "x.json"),
            lambda: run.log_artifact(None),
            lambda: run.log_dataset("sha256:" + "0" * 64, rows="many"),
            lambda: run.log_dataset(pd.DataFrame({"a": [[1, 2]]})),
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
