"""Who a process is: machine, pid and start time, so that a pid given to another is not taken for the old one."""

import contextlib
import os
import platform
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from trimtab.kernel import SystemClock

_END_S = 5.0


@cache
def machine() -> str:
    """Name this machine since its last start, as its processes see it: host, boot and pid namespace."""
    return f"{platform.node()[:100]}/{_read('/proc/sys/kernel/random/boot_id')}/{_link('/proc/self/ns/pid')}"


def started(pid: int) -> str:
    """Return when a process started, in the machine's own units; empty when it does not run (any more)."""
    if Path("/proc/self/stat").exists():
        # The name in parentheses may hold anything, so fields are counted from the last parenthesis.
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return "" if not fields or fields[0] in {"Z", "X"} else fields[19]
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (fixed words and a number)
    return found.stdout.strip()[:40]


def is_alive(pid: int, since: str) -> bool:
    """Say whether the very process that started ``since`` still runs."""
    return bool(since) and started(pid) == since


def end_worker(pid: int, since: str) -> bool:
    """Have a worker's supervisor end it with all that it started, if it still is the process that started ``since``.

    A supervisor that has not ended after five seconds is killed; on Linux its worker then dies with it.
    """
    if not is_alive(pid, since):
        return False
    try:
        os.kill(pid, signal.SIGTERM)
        machine = SystemClock()
        until = machine.monotonic() + _END_S
        while is_alive(pid, since):
            if machine.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                break
            machine.sleep(0.005)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def ending_of(pid: int) -> int:
    """Return a descriptor that can be read once a child has ended; -1 where the system has none."""
    if sys.platform != "linux":
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def end_session(leader: int) -> None:
    """Kill what is left of the session that an ended process had begun (Linux)."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        fields = _read(str(entry)).rpartition(")")[2].split()
        if len(fields) > 3 and int(fields[3]) == leader and fields[0] not in {"Z", "X"}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.parent.name), signal.SIGKILL)


def pids() -> list[int]:
    """Return the processes of this machine (Linux)."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]  # noqa: PTH208  (names, quickly)


def below_supervisors() -> set[int]:
    """Return the processes in which steps run, whoever's they are, with all that they started (Linux)."""
    parents = {pid: _parent_of(pid) for pid in pids()}
    below = {pid for pid in parents if _is_supervisor(pid)}
    grown = -1
    while below and grown < len(below):
        grown = len(below)
        below |= {pid for pid, parent in parents.items() if parent in below}
    return below


def _parent_of(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _is_supervisor(pid: int) -> bool:
    words = _read(f"/proc/{pid}/cmdline").split("\0")
    return len(words) > 1 and words[1].endswith("/trimtab/pipelines/supervisor.py")


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
