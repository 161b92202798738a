"""What steps print, on its way to their logs: through the supervisor, which writes no more than a log may hold.

The worker's standard output and error are a pipe, one for each step; its other end is handed to the supervisor, a
process of its own, which goes on reading while the body holds the interpreter's lock in C code. Where a log ends, it
says so, and how much was left out. Nothing but the standard library: the supervisor has nothing else.
"""

import contextlib
import fcntl
import mmap
import os
import select
import socket
import struct
import termios
import time

_PIECE = 1 << 16
_PATIENCE_S = 1.0
"""How long a step that is over waits for its last output. A child that it left behind may print on for ever."""


def pair() -> "tuple[Drain, Outlet]":
    """Return the supervisor's end and the worker's. ``shared`` is one byte: whether output is on its way to a log."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    shared = mmap.mmap(-1, 1)
    return Drain(ours, shared), Outlet(theirs, shared)


class Outlet:
    """The worker's end: what is printed between ``open`` and ``close`` goes to a log."""

    def __init__(self, end: socket.socket, shared: mmap.mmap) -> None:
        self._end = end
        self._shared = shared
        self._read = -1

    def open(self, log: str, *, limit: int) -> None:
        """Send descriptors 1 and 2 to a file, so that what C code and child processes print lands there too."""
        self._read, write = os.pipe()
        socket.send_fds(self._end, [f"{limit} {log}".encode()], [self._read])
        _redirect(write)

    def close(self) -> None:
        """Print to nowhere from now on, and return when what was printed lies in the log."""
        _redirect(os.open(os.devnull, os.O_WRONLY))
        until = time.monotonic() + _PATIENCE_S
        while (_waits_in(self._read) or self._shared[0]) and time.monotonic() < until:
            time.sleep(0.0002)
        os.close(self._read)

    def shut(self) -> None:
        """Leave it to the other end of the fork."""
        self._end.close()


class Drain:
    """The supervisor's end."""

    def __init__(self, end: socket.socket, shared: mmap.mmap) -> None:
        self._end = end
        self._end.setblocking(False)
        self._shared = shared
        self._logs: dict[int, _Log] = {}

    def close(self) -> None:
        """Leave it to the other end of the fork."""
        self._end.close()

    def files(self) -> list[int]:
        """Return what to wait for."""
        return [self._end.fileno(), *self._logs]

    def take(self, ready: list[int]) -> None:
        """Write what has been printed."""
        for log in [self._logs[file] for file in ready if file in self._logs]:
            self._move(log)
        if self._end.fileno() in ready:
            self._meet()

    def finish(self) -> None:
        """Write what is left of all that was printed; whoever prints has ended."""
        self._meet()
        while files := [file for file in self._logs if select.select([file], [], [], 0)[0]]:
            self.take(files)
        for log in self._logs.values():
            log.end()

    def _meet(self) -> None:
        """Take the pipes of new steps."""
        with contextlib.suppress(OSError):
            while True:
                text, files, _, _ = socket.recv_fds(self._end, 8192, 1)
                if not files:
                    return
                limit, _, path = text.decode().partition(" ")
                self._logs[files[0]] = _Log(path, files[0], int(limit))

    def _move(self, log: "_Log") -> None:
        self._shared[0] = 1  # first: who finds the pipe empty must find this
        if not log.move():
            del self._logs[log.source]
            log.end()
        self._shared[0] = any(each.left_out for each in self._logs.values())


class _Log:
    """One attempt's output, and how much of it may still be written."""

    def __init__(self, path: str, source: int, limit: int) -> None:
        self.source = source
        self.left_out = 0
        self._path = path
        self._limit = limit
        self._room = limit
        self._file = -1

    def move(self) -> bool:
        """Write a piece of what was printed; say whether there may be more."""
        data = os.read(self.source, _PIECE)
        fits = data[: self._room]
        self._room -= len(fits)
        if fits:
            self.left_out += len(fits) - self._write(fits)
        self.left_out += len(data) - len(fits)
        return bool(data)

    def end(self) -> None:
        """Say how much was left out."""
        if self.left_out:
            text = f"\ntrimtab: {self.left_out:,} bytes more were printed and left out; {self._limit:,} are kept\n"
            self._write(text.encode())
        os.close(self.source)
        if self._file >= 0:
            os.close(self._file)

    def _write(self, data: bytes) -> int:
        """Return how many bytes were written: a full disk takes none, and must not keep the body waiting."""
        try:
            if self._file < 0:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120  (pathlib is slow to import)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            return os.write(self._file, data)
        except OSError:
            return 0


def _waits_in(pipe: int) -> bool:
    return bool(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])


def _redirect(target: int) -> None:
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
