"""A recorder's words are quick, are written soon, and none is lost, whatever way the run ends."""

import logging
import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fairlead as fl
from fairlead.kernel import Settings, Unavailable
from fairlead.store import open_store
from fairlead.tracking import (
    BadName,
    ParamChanged,
    RunNotRunning,
    RunRecorder,
    RunStatus,
    check_seal,
    current_run,
    environment,
    find_artifact,
    find_lost,
    get_metric,
    get_run,
    list_artifacts,
    list_experiments,
    read_artifact,
    read_console,
    resume_run,
    search_runs,
    start_run,
)
from fairlead.tracking.backend import StoreBackend
from fairlead.tracking.environment import capture_code

say = print  # a user's script prints; ours does not


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


def test_words_are_written_within_a_second_without_flush(another_store, record):
    with record() as run:
        run.log_metric("x", 1.0)
        until = time.monotonic() + 10
        while not get_run(another_store, run.id).metrics:
            assert time.monotonic() < until
            time.sleep(0.02)


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
            lambda: fl.run(7),
            lambda: fl.run(experiment=7),
            lambda: fl.run(tags=["a"]),
            lambda: fl.run(parent=7),
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


def test_output_is_kept_in_order_and_still_shown(sqlite_store, record, capsys):
    with record(capture=("console",)) as run:
        say("to the screen")
        say("and to the other", file=sys.stderr)
        with record(name="child", capture=("console",), parent=run.id) as child:
            say("from the child")
            sys.stdout.writelines(["one\n", "two\n"])
            assert sys.stdout.isatty() in (True, False)
    say("afterwards")
    shown = capsys.readouterr()
    assert shown.out == "to the screen\nfrom the child\none\ntwo\nafterwards\n"
    assert shown.err == "and to the other\n"
    assert read_console(sqlite_store, run.id) == "to the screen\nand to the other\nfrom the child\none\ntwo\n"
    assert read_console(sqlite_store, child.id) == "from the child\none\ntwo\n"
    assert find_artifact(sqlite_store, run.id, "console.txt").media_type == "text/plain"


def test_endless_output_is_cut_with_a_note(sqlite_store, record, capsys, monkeypatch):
    monkeypatch.setattr("fairlead.tracking.console.LIMIT", 100)
    with record(capture=("console",)) as run:
        for _ in range(50):
            say("0123456789")
    text = read_console(sqlite_store, run.id)
    assert text.startswith("0123456789\n0123456789\n")
    assert text.endswith("[only the first 100 characters are kept]\n")
    assert len(text) < 200


def test_the_surroundings_are_noted(sqlite_store, record, tmp_path, monkeypatch):
    def git(*words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)

    folder = tmp_path / "project"
    folder.mkdir()
    git("init", "-q", "-b", "main")
    (folder / "train.py").write_text("one\n")
    git("add", "train.py")
    git("commit", "-q", "-m", "one")
    git("remote", "add", "origin", "https://alice:secret@example.org/x.git")
    (folder / "train.py").write_text("two\n")
    (folder / "new.py").write_text("x")
    monkeypatch.chdir(folder)
    with record(capture=("environment",)) as run:
        noted = run.environment
    assert noted.packages["numpy"] == np.__version__
    assert noted.python == ".".join(map(str, sys.version_info[:3]))
    code = noted.code
    assert code.dirty
    assert code.untracked == ("new.py",)
    assert code.remote == "https://example.org/x.git"
    diff = read_artifact(sqlite_store, find_artifact(sqlite_store, run.id, "environment/uncommitted.diff"))
    assert b"-one\n+two" in diff
    assert code.diff == find_artifact(sqlite_store, run.id, "environment/uncommitted.diff").digest
    assert find_artifact(sqlite_store, run.id, "environment/environment.json")
    tags = get_run(sqlite_store, run.id).tags
    assert tags == {"git.branch": "main", "git.commit": code.commit, "git.dirty": "true"}


def test_code_is_noted_from_the_top_and_silence_is_not_taken_for_unchanged(tmp_path, monkeypatch):
    def git(*words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    below = tmp_path / "below"
    below.mkdir()
    git("init", "-q", "-b", "main")
    for name in ("top.py", "below/a.py"):
        (tmp_path / name).write_text("one\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("config", "diff.relative", "true")
    git("remote", "add", "origin", "https://alice:sec@ret@example.org/x.git")
    kept = []

    def keep(diff):
        kept.append(diff)
        return "digest"

    clean = capture_code(below, keep=keep)
    assert (clean.dirty, clean.remote, kept) == (False, "https://example.org/x.git", [])
    (tmp_path / "new.py").write_text("x")
    assert capture_code(below, keep=keep).untracked == ("new.py",)
    (tmp_path / "new.py").unlink()
    (tmp_path / "top.py").write_text("two\n")
    assert capture_code(below, keep=keep).dirty
    assert b"a/top.py" in kept[0]
    monkeypatch.setattr(environment, "DIFF_LIMIT_BYTES", 10)
    large = capture_code(below, keep=keep)
    assert (large.dirty, large.diff, large.diff_bytes) == (True, None, len(kept[0]))
    git("checkout", "-q", "top.py")
    run = environment.subprocess.run

    def slow(words, **given):
        if "diff" in words:
            raise subprocess.TimeoutExpired(words, 10)
        return run(words, **given)

    monkeypatch.setattr(environment.subprocess, "run", slow)
    assert capture_code(below, keep=keep).dirty


def test_outside_of_git_there_is_no_code_state(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with record(capture=("environment",)) as run:
        assert run.environment.code is None
    with record() as bare:
        assert bare.environment is None


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
    monkeypatch.delenv("FAIRLEAD_SERVER", raising=False)
    with fl.run("outer", experiment="late", capture=()) as outer:
        assert current_run() is outer
        with fl.run("inner", capture=()) as inner:
            inner.log_metric("x", 1.0)
            assert current_run() is inner
        assert current_run() is outer
        outer.log_metric("y", 1.0)
    assert current_run() is None
    store = open_store(Settings(home=str(tmp_path / ".fairlead")))
    assert get_run(store, inner.id).parent_id == outer.id
    assert get_run(store, inner.id).experiment == "late"
    assert [run.name for run in search_runs(store, "parent IS NULL").items] == ["outer"]
    assert [e.name for e in list_experiments(store)] == ["late"]
    store.close()
    with pytest.raises(BadName, match="there is no 'everything' to capture"):
        fl.run("x", capture=("everything",))


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


class Flaky(StoreBackend):
    """A store that does not answer for a while."""

    def __init__(self, store, actor):
        super().__init__(store, actor)
        self.down = False
        self.asked = 0

    def log(self, run_id, batch):
        self.asked += 1
        super().log(run_id, batch)
        if self.down:  # after it was written: the answer is what is lost
            raise Unavailable("away", where="test", why="It is a test.", next="wait")

    def finish(self, run_id, finish):
        if self.down:
            self.asked += 1
            self.down = self.asked < 12
            raise Unavailable("away", where="test", why="It is a test.", next="wait")
        return super().finish(run_id, finish)


def flaky_run(sqlite_store, actor, opened_run):
    backend = Flaky(sqlite_store, actor)
    return backend, RunRecorder(backend, opened_run)


def test_nothing_is_lost_or_doubled_while_the_store_is_away(sqlite_store, actor, monkeypatch):
    from fairlead.tracking import StartRun, open_run

    monkeypatch.setattr("fairlead.tracking.writer.WRITE_EVERY_S", 0.01)
    backend, run = flaky_run(sqlite_store, actor, open_run(sqlite_store, StartRun(), actor=actor))
    backend.down = True
    for n in range(50):
        run.log_metric("x", n)
    with pytest.raises(Unavailable):
        run.flush()
    while backend.asked < 5:
        time.sleep(0.005)
    backend.down = False
    run.log_metric("x", 50)
    run.finish()
    assert [p.step for p in get_metric(sqlite_store, run.id, "x").items] == list(range(51))


def test_the_end_waits_for_a_store_that_is_away(sqlite_store, actor, monkeypatch):
    from fairlead.tracking import StartRun, open_run

    backend, run = flaky_run(sqlite_store, actor, open_run(sqlite_store, StartRun(), actor=actor))
    run.log_metric("x", 1.0)
    run.flush()
    backend.down, backend.asked = True, 9
    assert run.finish().status is RunStatus.FINISHED


def test_a_run_that_was_taken_for_lost_goes_on(sqlite_store, record, actor):
    from fairlead.tracking import FinishRun, close_run

    with record() as run:
        run.log_metric("x", 1.0)
        run.flush()
        close_run(sqlite_store, run.id, FinishRun(status=RunStatus.LOST), actor=actor)
        run.log_metric("x", 2.0)
        run.flush()
        assert get_run(sqlite_store, run.id).status is RunStatus.RUNNING
        close_run(sqlite_store, run.id, FinishRun(status=RunStatus.LOST), actor=actor)
    found = get_run(sqlite_store, run.id)
    assert (found.status, found.metrics["x"].points) == (RunStatus.FINISHED, 2)


def test_a_run_that_somebody_ended_keeps_its_end_and_says_so(sqlite_store, record, actor):
    from fairlead.tracking import FinishRun, close_run

    run = record()
    close_run(sqlite_store, run.id, FinishRun(status=RunStatus.KILLED), actor=actor)
    run.log_metric("x", 1.0)
    with pytest.raises(RunNotRunning, match="has ended: killed"):
        run.flush()
    with pytest.raises(RunNotRunning):
        run.finish()
    resume_run(sqlite_store, run.id, actor=actor)
    assert run.finish().status is RunStatus.FINISHED


def test_a_parameter_of_another_writer_does_not_cost_the_metrics(sqlite_store, record):
    from fairlead.tracking import Batch, log_batch

    run = record()
    log_batch(sqlite_store, run.id, Batch(writer="other", number=1, params={"lr": "1"}))
    run.log_param("lr", "2")
    run.log_metric("x", 1.0)
    with pytest.raises(ParamChanged):
        run.finish()
    found = get_run(sqlite_store, run.id)
    assert (found.status, found.params, found.metrics["x"].points) == (RunStatus.FINISHED, {"lr": "1"}, 1)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_told_and_does_not_end_the_run(sqlite_store, record):
    with record() as run:
        run.log_metric("x", 1.0)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                run.log_metric("x", 2.0)
            except fl.FairleadError as error:
                code = 0 if "belongs to another process" in error.what else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert get_run(sqlite_store, run.id).metrics["x"].points == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_runs_of_forked_processes_become_children(store, actor, capfd):
    with start_run(store, experiment="sweep", actor=actor, capture=("console",)) as run:
        children = []
        for number in range(3):
            run.log_metric("started", number)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    say("not in the parent's console")
                    with fl.run(f"try {number}", capture=()) as child:
                        child.log_metrics({"loss": number, "other": 1.0})
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    found = search_runs(store, f"parent = '{run.id}'", experiment="sweep", order_by="name").items
    assert [(one.name, one.status, one.metrics["loss"].value) for one in found] == [
        (f"try {number}", RunStatus.FINISHED, float(number)) for number in range(3)
    ]
    assert get_run(store, run.id).metrics["started"].points == 3
    assert read_console(store, run.id) == ""


def test_logging_keeps_working_when_a_handler_holds_the_stream(record, capsys):
    with record(capture=("console",)):
        handler = logging.StreamHandler(sys.stderr)
        logger = logging.getLogger("test.tracking")
        logger.addHandler(handler)
    logger.warning("after the run")
    logger.removeHandler(handler)
    assert "after the run" in capsys.readouterr().err


SCRIPT = """
import sys, time
import fairlead as fl
from fairlead.kernel import Settings
run = fl.run("doomed", settings=Settings(home=sys.argv[1], database=sys.argv[2]), capture=("console",))
for n in range(1000):
    run.log_metric("x", n)
print("printed before", file=sys.stderr)
run.flush()
sys.__stdout__.write(run.id + "\\n"); sys.__stdout__.flush()
n = 1000
while len(sys.argv) < 4:
    run.log_metric("x", n)
    n += 1
    time.sleep(0.0005)
"""


def test_kill_9_loses_nothing_that_was_flushed_and_the_run_is_found(store):
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, store.settings.home, store.settings.database],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    run_id = child.stdout.readline().strip()
    assert get_run(store, run_id).metrics["x"].points >= 1000
    time.sleep(0.8)
    child.kill()
    child.wait()
    child.stdout.close()
    points = get_run(store, run_id).metrics["x"].points
    assert points > 1000  # what was said later, up to a moment ago, is there as well
    assert [run.id for run in find_lost(store)] == [run_id]
    found = get_run(store, run_id)
    assert found.status is RunStatus.LOST
    assert found.seal.points == points
    assert check_seal(store, run_id) == ()
    assert read_console(store, run_id) == "printed before\n"
    assert find_lost(store) == []


def test_a_program_that_just_ends_ends_its_run(sqlite_store):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, sqlite_store.settings.home, "", "end"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = get_run(sqlite_store, done.stdout.strip())
    assert found.status is RunStatus.FINISHED
    assert found.metrics["x"].points == 1000
