"""Waiting for a state, never for a time: a test goes on as soon as something holds, however slow the machine is."""

import asyncio
import time
from collections.abc import Callable
from subprocess import Popen
from threading import Lock, Thread
from typing import Any, TypeVar

PATIENCE_S = 120.0
"""The limit of every wait. It only ends a hang: what is waited for takes a second, and perhaps ten under load."""
LOOKS_EVERY_S = 0.01
T = TypeVar("T")
Doer = Popen[Any] | Thread | None


def wait_until(true: Callable[[], T], what: str, *, seconds: float = PATIENCE_S, alive: Doer = None) -> T:
    """Wait until something holds and return it; fail after ``seconds``, or when ``alive``, which does it, has ended."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        _still(alive, deadline, what)
        time.sleep(LOOKS_EVERY_S)
    return found


async def wait_until_async(true: Callable[[], T], what: str, *, seconds: float = PATIENCE_S, alive: Doer = None) -> T:
    """Do the same beside what else the event loop does."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        _still(alive, deadline, what)
        await asyncio.sleep(LOOKS_EVERY_S)
    return found


class WatchedLock:
    """A lock that says how many wait for it, to stand in the place of one of the code's own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._came: list[None] = []
        self._went: list[None] = []

    @property
    def waiting(self) -> int:
        return len(self._came) - len(self._went)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._came.append(None)
        try:
            return self._lock.acquire(blocking, timeout)
        finally:
            self._went.append(None)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _still(alive: Doer, deadline: float, what: str) -> None:
    assert time.monotonic() < deadline, f"waited in vain until {what}"
    if isinstance(alive, Popen):
        assert alive.poll() is None, f"the process ended with {alive.returncode}, waiting until {what}"
    elif alive is not None:
        assert alive.is_alive(), f"the thread ended, waiting until {what}"
