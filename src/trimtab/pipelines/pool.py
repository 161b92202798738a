"""The runner's side of its workers: start them when they are needed, talk to them, end them, kill them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from pathlib import Path

import msgspec

from trimtab.kernel import Clock, Settings, Unavailable
from trimtab.pipelines import process
from trimtab.pipelines.protocol import Channel, Do, Hello, Secrets
from trimtab.pipelines.reach import environment_of

# Not ``python -m``: the worker must find trimtab and the user's modules exactly where this process does, however that
# was arranged (a notebook, pytest, a changed sys.path), and without importing this process's __main__.
_SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
STARTS_ALLOWED = 3
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
REPLAYED_THREADS = 2
"""Threads of a replay's worker, on every machine: sums that more threads share come out otherwise in the last bit."""
_KILL_S = 5.0
"""A supervisor that has not ended its worker by then is killed itself."""
_TAKE_S = 5.0
"""A worker that has not taken by then what it is asked is stuck."""
_LOG_BYTES = 5_000_000
"""From there on the log of the workers' starts begins anew."""
_GRACE_S = 5.0
"""A worker that nothing was asked of ends by itself a little after the pool would no longer ask."""


class WorkersFail(Unavailable):
    """Worker processes end before they have come up."""

    code = "pipelines.workers-fail"
    default_why = "Steps run in processes of their own, and the last {times} ended while they started."
    default_next = "read {log}"


class NoWorkersHere(Unavailable):
    """Pipelines are to be run on a system that cannot run them."""

    code = "pipelines.no-workers-here"
    default_why = "Each step runs in a process that is forked and held within limits, which only POSIX systems offer."
    default_next = "run it on Linux or macOS, also within WSL or a container; looking and asking a server work here too"


def check_system() -> None:
    """Raise ``NoWorkersHere`` where no worker can be started, before anything is submitted."""
    if sys.platform == "win32":
        raise NoWorkersHere("pipelines do not run on Windows", where="this machine")


class Worker:
    """One worker process, as its runner sees it: by its supervisor, which lives as long as the worker does."""

    def __init__(
        self, child: subprocess.Popen[bytes], channel: Channel, life: int, *, secrets: Secrets, now: float
    ) -> None:
        self.child = child
        self.channel = channel
        self.process = 0
        """The worker's own pid, which it says when it comes up: answers of another process are none."""
        self.ending = process.ending_of(child.pid)
        self.started = process.started(child.pid)
        self.is_ready = False
        self.is_busy = False
        self.steps = 0
        self.idle_since = now
        self._life = life
        self._secrets = secrets

    @property
    def pid(self) -> int:
        return self.child.pid

    def ask(self, do: Do) -> None:
        """Hand a step over. Raises ``OSError`` when the worker is gone."""
        self.is_busy = True
        self.steps += 1
        self.channel.send(do, wait_s=_TAKE_S)
        if self.steps == 1:
            self.channel.send(self._secrets, wait_s=_TAKE_S)

    @property
    def has_ended(self) -> bool:
        """Say whether the process is over, whatever else still holds its end of the channel."""
        return self.child.poll() is not None

    def end(self) -> None:
        """Let an idle worker end by itself, or kill it when it does not."""
        self.channel.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(timeout=1.0)
        self.kill()

    def kill(self) -> int:
        """Kill the worker and all that it started, and return its exit status (negative: the signal)."""
        self.child.terminate()
        self.channel.close()
        try:
            status = self.child.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            status = self.child.wait()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        if self.ending >= 0:
            os.close(self.ending)
            self.ending = -1
        if status == -signal.SIGKILL:  # perhaps the supervisor's own end, and then nobody has cleared up after it
            process.end_session(self.child.pid)
        return status


class Pool:
    """At most ``size`` workers. They are started when a step is ready, and end after ``idle_s`` without one."""

    def __init__(
        self, *, size: int, settings: Settings, idle_s: float, machine: Clock, repeatable: bool = False
    ) -> None:  # fmt: skip
        self.workers: list[Worker] = []
        self.size = size
        self._repeatable = repeatable
        # A worker may live in another folder by then, and a relative home would be another one.
        self._settings = msgspec.structs.replace(settings, home=str(settings.home_path))
        self._idle_s = idle_s
        self._machine = machine
        self._starts_failed = 0
        self._log = settings.home_path / "logs" / "worker.log"
        # Without a runner that stops, its workers end when it is collected, or when the interpreter exits.
        self._finalizer = weakref.finalize(self, _kill_all, self.workers, os.getpid())

    def take(self, *, fresh: bool, waiting: int = 0) -> Worker | None:
        """Return an idle worker, or None after seeing to it that one comes up.

        ``fresh``: one that has run nothing yet. ``waiting``: how many other steps wait for workers that are starting.
        """
        now = self._machine.monotonic()
        idle = [worker for worker in self.workers if worker.is_ready and not worker.is_busy]
        for worker in idle:
            if now - worker.idle_since < self._idle_s and not (fresh and worker.steps):
                return worker
        if sum(not worker.is_ready for worker in self.workers) > waiting:
            return None
        if len(self.workers) >= self.size and idle:
            self.end(idle[0])
        if len(self.workers) < self.size:
            self.workers.append(self._start())
        return None

    def came_up(self, worker: Worker) -> None:
        worker.is_ready = True
        worker.idle_since = self._machine.monotonic()
        self._starts_failed = 0

    def is_free(self, worker: Worker) -> None:
        worker.is_busy = False
        worker.idle_since = self._machine.monotonic()

    def end(self, worker: Worker) -> None:
        """End a worker that does nothing."""
        self.workers.remove(worker)
        worker.end()

    def kill(self, worker: Worker) -> int:
        """Kill a worker with all that it started; return its exit status. Raises ``WorkersFail`` when none comes up."""
        self.workers.remove(worker)
        status = worker.kill()
        if not worker.is_ready:
            self._starts_failed += 1
            if self._starts_failed >= STARTS_ALLOWED:
                self._starts_failed = 0
                raise WorkersFail(
                    "no worker process comes up", where="pipelines", times=STARTS_ALLOWED, log="logs/worker.log"
                )
        return status

    def end_idle(self) -> None:
        """End the workers that nothing was asked of for long."""
        now = self._machine.monotonic()
        for worker in list(self.workers):
            if worker.is_ready and not worker.is_busy and now - worker.idle_since >= self._idle_s:
                self.end(worker)

    def close(self) -> None:
        """Kill every worker."""
        _kill_all(self.workers, os.getpid())

    def _environment(self) -> dict[str, str]:
        """Share the cores among the workers: libraries that each take all of them wait for each other instead.

        What is to be repeatable gets the same on every machine, whatever the environment says: a model's last bits
        depend on how many threads have trained it.
        """
        if self._repeatable:
            fixed = dict.fromkeys(_THREADS, str(REPLAYED_THREADS))
            return {**os.environ, "PYTHONHASHSEED": "0", **fixed}
        share = str(max(1, (os.cpu_count() or 1) // self.size))
        # Hashes of texts differ from process to process otherwise, and with them the order of sets: the same training
        # would leave other bytes (skl2onnx names nodes in such an order).
        return {"PYTHONHASHSEED": "0", **dict.fromkeys(_THREADS, share), **os.environ}

    def _start(self) -> Worker:
        ours, theirs = socket.socketpair()
        life_read, life_write = os.pipe()
        try:
            with theirs:
                child = self._spawned(theirs.fileno(), life_read)
        except OSError as error:
            ours.close()
            os.close(life_write)
            # No memory, no process or no space left: that passes, and what waits for a worker goes on then.
            raise WorkersFail(
                f"no worker process can be started: {error.strerror or type(error).__name__}", where="pipelines",
                why="The system refused a process or a file that it needs.",
                next="free memory, processes or disk space; open runs then go on by themselves",
            ) from error  # fmt: skip
        finally:
            os.close(life_read)
        whole = b"\0".join(os.fsencode(f"{name}={value}") for name, value in self._environment().items())
        worker = Worker(
            child, Channel(ours), life_write, secrets=Secrets(settings=self._settings, environment=whole),
            now=self._machine.monotonic(),
        )  # fmt: skip
        with contextlib.suppress(OSError):
            worker.channel.send(Hello(idle_s=self._idle_s + _GRACE_S), wait_s=_TAKE_S)
        return worker

    def _spawned(self, socket_fd: int, life_fd: int) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        folders = json.dumps([str(folder) for folder in sys.path])
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  (this interpreter, with fixed words)
                [sys.executable, _SUPERVISOR, folders, str(socket_fd), str(life_fd)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(socket_fd, life_fd), start_new_session=True,
                env=environment_of(self._settings, self._environment()),
            )  # fmt: skip


def _kill_all(workers: list[Worker], owner: int) -> None:
    # A fork of the runner's process that ends must not take the runner's workers with it.
    while workers and os.getpid() == owner:
        workers.pop().kill()
