"""What runner and worker say to each other: JSON messages over a socket pair, never pickles.

Each answer names the process that gives it and the attempt that it is about. A child that the body forked, a thread
that it left behind: whoever else holds the socket cannot answer for another's step by chance.
"""

import os
import select
import socket
from typing import Any, Literal

import msgspec

from trimtab.kernel import Actor, Settings
from trimtab.pipelines.records import StepError

LONGEST_MESSAGE = 64 << 20
_PIECE, _PIECES = 1 << 18, 16
_LENGTH = 4


class AttemptId(msgspec.Struct, frozen=True, kw_only=True):
    """Which start of which step."""

    run_id: str
    step: str
    attempt: int
    fence: int


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the worker, once. ``idle_s``: end when nothing was asked for so long."""

    idle_s: float


class Secrets(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the worker, once, after its first step: until then it has nothing that user code must not see.

    ``environment`` is that of the runner, as ``NAME=value`` with a zero byte between two of them.
    """

    settings: Settings
    environment: bytes


class Do(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the worker: run a step. ``clock`` is ``system``, or the kind of clock that is to show ``now`` (ISO time)."""

    id: AttemptId
    function: str
    params: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    actor: Actor
    because: str
    log: str
    clock: Literal["system", "started", "virtual"]
    now: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: it has come up."""


class Stale(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: files that it imported have changed since, so another must do this; it ends."""


class Said(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body logged a line."""

    text: str


class Advanced(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body has come so far."""

    done: float
    total: float | None
    unit: str


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body returned ``outputs`` (JSON) and kept ``blobs``."""

    outputs: msgspec.Raw
    blobs: tuple[str, ...]
    seconds: float


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body raised. ``is_final``: it would fail again, so it is not tried again. ``is_away``: what
    the store lies in did not answer, so it counts as no failure."""

    error: StepError
    is_final: bool
    is_away: bool = False
    seconds: float


ToWorker = Hello | Do | Secrets
FromWorker = Ready | Stale | Said | Advanced | Done | Failed


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's message with its sender: the process, and the attempt that it speaks for (None: for itself)."""

    pid: int
    about: AttemptId | None
    message: FromWorker


_to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
_from_worker: msgspec.json.Decoder[Sent] = msgspec.json.Decoder(Sent)


class Channel:
    """One end of the socket pair. A message that the other side began and did not finish keeps nobody waiting."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._end.setblocking(False)
        self._end.set_inheritable(False)
        self._read = bytearray()

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def send(self, message: ToWorker | Sent, *, wait_s: float | None = None) -> None:
        """Send one message; raise ``OSError`` when the other side is gone, or takes nothing for ``wait_s``."""
        data = msgspec.json.encode(message)
        left = memoryview(len(data).to_bytes(_LENGTH) + data)
        while left:
            try:
                left = left[self._end.send(left) :]
            except BlockingIOError:
                if not select_one(self._end, "write", wait_s):
                    raise TimeoutError("the other side takes nothing") from None

    def wait(self, seconds: float | None) -> bool:
        """Wait until something was sent, or the other side is gone; say whether."""
        return select_one(self._end, "read", seconds)

    def receive_one(self, wait_s: float | None) -> bytes | None:
        """Return the next message and read not a byte of what follows; None when the other side is gone, or silent."""
        head = self._exactly(_LENGTH, wait_s)
        return None if head is None else self._exactly(int.from_bytes(head), wait_s)

    def _exactly(self, count: int, wait_s: float | None) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            if not self.wait(wait_s):
                return None
            try:
                piece = self._end.recv(count - len(data))
            except ConnectionError:
                return None
            if not piece:
                return None
            data += piece
        return bytes(data)

    def receive(self) -> tuple[list[bytes], bool]:
        """Return the messages that have arrived, and whether the other side is there. Waits for nothing.

        Raises ``OSError`` when what arrived is no message.
        """
        is_there = self._take()
        found, at = [], 0
        while len(self._read) >= at + _LENGTH:
            length = int.from_bytes(self._read[at : at + _LENGTH])
            if length > LONGEST_MESSAGE:
                raise OSError(f"a message of {length} bytes")
            if len(self._read) < at + _LENGTH + length:
                break
            found.append(bytes(self._read[at + _LENGTH : at + _LENGTH + length]))
            at += _LENGTH + length
        del self._read[:at]
        return found, is_there

    def _take(self) -> bool:
        try:
            for _ in range(_PIECES):  # and no more, lest one who never stops to speak is all that is heard
                piece = self._end.recv(_PIECE)
                if not piece:
                    return False
                self._read += piece
        except BlockingIOError:
            pass
        except ConnectionError:
            return False
        return True


def select_one(end: socket.socket, what: Literal["read", "write"], seconds: float | None) -> bool:
    """Wait for one socket; say whether it can be read, or written, before the time is over."""
    poll = select.poll()
    poll.register(end, select.POLLIN if what == "read" else select.POLLOUT)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def to_worker_of(data: bytes) -> ToWorker:
    """Read a runner's message."""
    return _to_worker.decode(data)


def from_worker_of(data: bytes) -> Sent:
    """Read a worker's message; raise ``msgspec.DecodeError``."""
    return _from_worker.decode(data)


def sent(message: FromWorker, about: AttemptId | None) -> Sent:
    """Sign a message with this process."""
    return Sent(pid=os.getpid(), about=about, message=message)
