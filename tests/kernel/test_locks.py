"""A lock is held by one open file at a time, and goes with it; on Windows it is a byte that nobody reads."""

import errno
import os
import sys
import types
from importlib import reload
from pathlib import Path

import pytest

from trimtab.kernel import lock, locks


def test_one_holds_it_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"text")
    first, second = (os.open(path, os.O_RDWR) for _ in range(2))
    assert lock(first)
    assert not lock(second)
    os.close(first)
    assert lock(second)
    os.close(second)
    with pytest.raises(OSError, match="Bad file descriptor"):
        lock(second)


def test_windows_locks_a_byte_where_no_file_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of Windows, with a system call that keeps to its rules: by position, from the descriptor's own place."""
    held: dict[tuple[int, int], int] = {}

    def locking(fd: int, mode: int, count: int) -> None:
        place = (os.fstat(fd).st_ino, os.lseek(fd, 0, os.SEEK_CUR))
        assert (mode, count, place[1] > 1 << 39) == (2, 1, True)
        if held.setdefault(place, fd) != fd:
            raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(LK_NBLCK=2, locking=locking))
    path = tmp_path / "one"
    path.write_bytes(b"text")
    first, second = (os.open(path, os.O_RDWR) for _ in range(2))
    with monkeypatch.context() as on_windows:
        on_windows.setattr(sys, "platform", "win32")
        reload(locks)
    try:
        os.lseek(first, 2, os.SEEK_SET)
        assert locks.lock(first)
        assert os.read(first, 2) == b"xt"
        assert not locks.lock(second)
        assert path.stat().st_size == 4
    finally:
        reload(locks)
        os.close(first)
        os.close(second)
