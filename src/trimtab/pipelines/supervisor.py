"""The process above a worker: it starts the worker, and ends with it, taking along all that the worker started.

A body may start what leaves the worker's process group: a session of its own, a daemon that forks twice. On Linux the
supervisor is the *child subreaper* of all of them: who loses his parent becomes its child, so none gets out of reach.
Elsewhere it ends the worker's process group. It holds the read end of the *life* pipe, into which its runner never
writes: when the runner dies, however it dies, the pipe closes, also while the body is stuck in C code.

What steps print goes through it, too (see ``outlet.py``): so a log has an end, whatever a body does.

Run as a program, with nothing but the standard library: it forks before the worker has imports, memory or threads.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.pipelines.outlet import Drain, Outlet

_SET_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of prctl


def main() -> None:
    """Start the worker and end with it, with its runner, or when told by SIGTERM; with the status of the worker."""
    folders, socket, life = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _prctl(_SET_CHILD_SUBREAPER, 1)
    outlet = _outlet()
    drain, worker_end = outlet.pair()
    supervisor = os.getpid()
    worker = os.fork()
    if not worker:
        os.close(life)
        drain.close()
        os.setpgid(0, 0)
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() == supervisor:  # else it is gone already, and no signal will come
            _work(folders, socket, worker_end)
        os._exit(1)
    with contextlib.suppress(OSError):  # the worker does the same: whoever comes first
        os.setpgid(worker, worker)
    os.close(socket)
    worker_end.shut()
    end_like(_supervise(worker, life, drain))


def _outlet() -> ModuleType:
    """Return the module beside this file: the package, which has imports, is for the worker to import."""
    spec = spec_from_file_location("outlet", Path(__file__).with_name("outlet.py"))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _work(folders: list[str], socket: int, outlet: "Outlet") -> None:
    sys.path[:] = folders
    sys.argv[:] = ["-c"]
    from trimtab.pipelines import worker  # here: the supervisor itself stays small

    worker.main(socket, outlet)
    sys.exit()


def _supervise(worker: int, life: int, drain: "Drain") -> int:
    """Wait until the worker has ended or shall, end all that is left of it, and return its status."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while (status := _reaped(worker)) is None:
        ready = select.select([life, woken, *drain.files()], [], [])[0]
        drain.take(ready)
        if told or life in ready:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker, signal.SIGKILL)
            status = os.waitpid(worker, 0)[1]
            break
        if woken in ready:
            os.read(woken, 4096)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    _end_children()
    drain.finish()
    return status


def _reaped(worker: int) -> int | None:
    """Take note of the children that have ended, and return the worker's status once it is among them."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            if found[0] == worker:
                return found[1]
    return None


def _end_children() -> None:
    """Kill who is a child, then who became one by that, until none is left but those of other users."""
    beyond: set[int] = set()
    while children := _children() - beyond:
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except PermissionError:
                beyond.add(child)
        for child in children - beyond:
            os.waitpid(child, 0)


def _children() -> set[int]:
    own, found = os.getpid(), set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything, so fields are counted from the last parenthesis.
            if int(entry.read_text("utf-8", "replace").rpartition(")")[2].split()[1]) == own:
                found.add(int(entry.parent.name))
    return found


def end_like(status: int) -> None:
    """End as the worker did: with its exit status, or by its signal."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):  # SIGKILL has one handling only
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
