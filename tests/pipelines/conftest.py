"""What the tests of the orchestrator share: bodies that workers can import, runners, programs to kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.waiting import wait_until

from trimtab.kernel import Actor, SystemClock
from trimtab.pipelines import PipelineRun, PipelineSpec, Runner, StepSpec, submit
from trimtab.store import Store

HERE = Path(__file__).parent

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what no database can change: a second round would only start more processes."""


@pytest.fixture(autouse=True)
def bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import ``pipeline_bodies``: they look where their runner looks."""
    monkeypatch.syspath_prepend(str(HERE))


def step(name: str, body: str = "marked", **values: Any) -> StepSpec:
    return StepSpec(name=name, function=f"pipeline_bodies:{body}", **values)


def pipeline(*steps: StepSpec, name: str = "test") -> PipelineSpec:
    return PipelineSpec(name=name, steps=steps)


class Marks:
    """The side file to which bodies append a line when they start and end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, what: str = "start") -> list[list[str]]:
        """Return run, step, attempt, fence and pid of each line of a kind."""
        if not self.path.exists():
            return []
        return [line.split()[1:] for line in self.path.read_text().splitlines() if line.startswith(what)]

    def started(self, step: str | None = None) -> int:
        return sum(step in {None, line[1]} for line in self.lines())

    def wait_for(self, count: int) -> None:
        wait_until(lambda: self.started() >= count, f"{count} steps have begun")


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "marks")


class Hurried(SystemClock):
    """The machine's clock, which a test moves on: an hour is over when the test says so."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@pytest.fixture
def ask(store: Store, actor: Actor, marks: Marks) -> Callable[..., PipelineRun]:
    """Submit steps with the side file among their params."""
    return asker(store, actor, marks)


def asker(store: Store, actor: Actor, marks: Marks) -> Callable[..., PipelineRun]:
    def ask(*steps: StepSpec, key: str | None = None, **params: Any) -> PipelineRun:
        asked = {"marks": str(marks.path), **params}
        return submit(store, pipeline(*steps), asked, actor=actor, because="a test", key=key)

    return ask


@pytest.fixture
def runner(store: Store) -> Iterator[Runner]:
    with Runner(store, workers=1, poll_s=0.05) as made:
        yield made


class Programs:
    """Whole programs on a store, started by forking and ended by killing."""

    def __init__(self, store: Store) -> None:
        self._settings = msgspec.structs.asdict(store.settings)
        self._pids: list[int] = []
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "programs.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, run: PipelineRun | None = None, *, workers: int = 1, **more: Any) -> int:
        assert self._server.stdin
        assert self._server.stdout
        order = {"settings": self._settings, "run": run and run.id, "workers": workers, **more}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        self._pids.append(int(self._server.stdout.readline()))
        return self._pids[-1]

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not runs(pid), "the program has ended")

    def close(self) -> None:
        for pid in self._pids:
            if runs(pid):
                self.kill(pid)
        self._server.kill()
        self._server.wait()
        for pipe in (self._server.stdin, self._server.stdout):
            if pipe:
                pipe.close()


@pytest.fixture
def programs(store: Store) -> Iterator[Programs]:
    made = Programs(store)
    try:
        yield made
    finally:
        made.close()


def runs(pid: int) -> bool:
    """Say whether a process runs (a killed one that nobody has reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
