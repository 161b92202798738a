"""The home of a replay: one process at a time, counted starts, and discarded whole however it is killed."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.loop.parcels import write_project
from tests.loop.replays import START
from tests.waiting import PATIENCE_S

from trimtab.declare import load_project
from trimtab.kernel import lock
from trimtab.loop import ReplayHome, ReplayRunning

DISCARD = """
import os, signal, sys
from tests.loop.test_home import home_in
unlink, left = os.unlink, int(sys.argv[2])

def killing(*args, **kwargs):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    unlink(*args, **kwargs)

os.unlink = killing
home_in(sys.argv[1]).discard()
"""


def home_in(folder: Path | str) -> ReplayHome:
    project = load_project(Path(folder) / "parcels.py")
    return ReplayHome(Path(folder) / "home", project, start=START, end=START + timedelta(days=2))


@pytest.fixture
def home(tmp_path: Path) -> ReplayHome:
    write_project(tmp_path / "parcels.py")
    home = home_in(tmp_path)
    (home.path / "blobs").mkdir(parents=True)
    for name in ("trimtab.db", "blobs/one", "blobs/two"):
        (home.path / name).write_text(name)
    return home


def test_another_span_is_another_replay(home: ReplayHome, tmp_path: Path) -> None:
    project = load_project(tmp_path / "parcels.py")
    ends = [START + timedelta(days=2), START + timedelta(days=2, hours=6), START + timedelta(days=3)]
    assert len({ReplayHome(tmp_path, project, start=START, end=end).path.name for end in ends}) == len(ends)
    assert "-20130201-20130203-" in home.path.name


def test_starts_are_counted(home: ReplayHome) -> None:
    counts = []
    for _ in range(12):
        with home.started() as attempt:
            counts.append(attempt)
    assert counts == list(range(12))


def test_two_processes_never_have_the_same_replay(home: ReplayHome, tmp_path: Path) -> None:
    with home.started():
        for use in (home.discard, home_in(tmp_path).started().__enter__):
            with pytest.raises(ReplayRunning, match="running already"):
                use()
        assert (home.path / "trimtab.db").exists()
    home.discard()
    assert not home.path.exists()


def test_a_home_that_another_one_discards_in_the_same_moment_is_not_started(
    home: ReplayHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_the_other(fd: int) -> bool:
        monkeypatch.undo()
        home_in(tmp_path).discard()
        return lock(fd)

    monkeypatch.setattr("trimtab.loop.home.lock", after_the_other)
    with pytest.raises(ReplayRunning), home.started():
        pass
    with home.started() as attempt:
        assert attempt == 0


@pytest.mark.parametrize("unlinked", range(4))
def test_killed_while_it_discards_a_home_is_gone_as_a_whole(home: ReplayHome, tmp_path: Path, unlinked: int) -> None:
    with home.started():
        pass
    killed = subprocess.run(
        [sys.executable, "-c", DISCARD, str(tmp_path), str(unlinked)], check=False, timeout=PATIENCE_S
    )
    assert killed.returncode == -signal.SIGKILL
    assert not home.path.exists(), "not one file of it is left for the next replay to go on with"
    home.discard()
    assert list((tmp_path / "home").rglob("*")) == [tmp_path / "home" / "replays"], "what was left over is gone too"
