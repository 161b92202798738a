"""Listen to what a run prints, without keeping it from the screen."""

import contextlib
import sys
import threading
from typing import Any, TextIO

LIMIT = 4 << 20
"""Characters of output that a run keeps; a run that prints more has its beginning, and a note."""


class Console:
    """Collects what goes to ``sys.stdout`` and ``sys.stderr`` between ``start`` and ``stop``, in order.

    What a library writes past them, to the file descriptors or to a stream that it took before, is not heard.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: list[str] = []
        self._room = LIMIT
        self._tees: list[tuple[str, _Tee]] = []

    def start(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None:
                tee = _Tee(stream, self)
                setattr(sys, name, tee)
                self._tees.append((name, tee))

    def stop(self) -> None:
        for name, tee in self._tees:
            tee.open = False
            # Somebody may have put another stream in place since; then it keeps writing through a silent tee.
            if getattr(sys, name) is tee:
                setattr(sys, name, tee.stream)
        self._tees = []

    def forget(self) -> None:
        """Hear no more, in a forked process: nobody takes it there, and a thread that is gone may hold the lock."""
        self._lock = threading.Lock()
        for _, tee in self._tees:
            tee.open = False

    def hear(self, text: str) -> None:
        with self._lock:
            if self._room <= 0:
                return
            self._parts.append(text[: self._room])
            self._room -= len(text)
            if self._room <= 0:
                self._parts.append(f"\n[only the first {LIMIT} characters are kept]\n")

    def take(self) -> str:
        """Return what was heard since the last call."""
        with self._lock:
            parts, self._parts = self._parts, []
        return "".join(parts)


class _Tee:
    """A text stream that also tells a console. Everything but writing is the stream's own."""

    def __init__(self, stream: TextIO, console: Console) -> None:
        self.stream = stream
        self.open = True
        self._console = console

    def write(self, text: str) -> int:
        written = self.stream.write(text)
        if self.open:
            with contextlib.suppress(TypeError):
                self._console.hear(text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
