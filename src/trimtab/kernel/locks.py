"""Locks between processes: held by an open file, and gone with the process that holds it."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_FAR = 1 << 40
"""Windows keeps others from reading what is locked, so the byte that is locked there lies where no file has one."""
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


def lock(fd: int) -> bool:
    """Take the lock of an open file if nobody holds it; it goes with the process that has it."""
    try:
        _take(fd)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made where it is not there, and wait for whoever has it: each of them for a moment."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not lock(fd):
            time.sleep(0.001)
        yield
    finally:
        os.close(fd)


def _locking() -> Callable[[int], None]:
    """Return how this system locks an open file without waiting, raising ``OSError`` when another one holds it."""
    if sys.platform == "win32":
        import msvcrt

        def by_byte(fd: int) -> None:
            place = os.lseek(fd, 0, os.SEEK_CUR)
            os.lseek(fd, _FAR, os.SEEK_SET)
            try:
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(fd, place, os.SEEK_SET)

        return by_byte

    import fcntl

    return lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


_take = _locking()
