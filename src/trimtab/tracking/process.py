"""Which process makes a run, and whether it still lives."""

import os
import socket
from pathlib import Path


def this_host() -> str:
    """Return the name of this machine (in a container, of the container)."""
    return socket.gethostname()


def this_process() -> str:
    """Return the pid of this process and, where the system tells, when it started: pids are used again."""
    return f"{os.getpid()}:{_started(os.getpid()) or ''}"


def is_alive(process: str) -> bool:
    """Say whether a process of this machine still runs. In doubt, it does."""
    pid_text, _, started = process.partition(":")
    if not pid_text.isdecimal():
        return True
    pid = int(pid_text)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    found = _started(pid)
    return not (started and found and started != found) and not _is_zombie(pid)


def _started(pid: int) -> str | None:
    fields = _stat(pid)
    return fields[19] if fields else None


def _is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] in ("Z", "X")


def _stat(pid: int) -> list[str]:
    """Return the fields of Linux's /proc/<pid>/stat after the name, which may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []
