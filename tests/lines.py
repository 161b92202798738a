"""A TCP line to a PostgreSQL server that a test can cut, or let fall silent while its connections stay open."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import make_url


class Line:
    """Listens on a port of its own and carries everything to the server of a URL, and back."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._target = (parsed.host or "127.0.0.1", parsed.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._speaks = threading.Event()
        self._speaks.set()
        self._is_cut = False
        self._ends: list[socket.socket] = []
        self._start(self._accept)

    def through(self, url: str) -> str:
        """Return a URL of the same database through this line."""
        return make_url(url).set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)

    def be_silent(self) -> None:
        """Carry nothing more, and close nothing."""
        self._speaks.clear()

    def cut(self) -> None:
        """End every connection, and let no new one come about."""
        self._is_cut = True
        self._end_all()

    def speak(self) -> None:
        """Work again."""
        self._is_cut = False
        self._speaks.set()

    def close(self) -> None:
        self.speak()
        self._end(self._listener)
        self._end_all()

    def _end_all(self) -> None:
        while self._ends:
            self._end(self._ends.pop())

    def _end(self, end: socket.socket) -> None:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

    def _start(self, work: Callable[..., None], *given: socket.socket) -> None:
        threading.Thread(target=work, args=given, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._is_cut:
                    self._end(near)
                    continue
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                self._start(self._carry, near, far)
                self._start(self._carry, far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._speaks.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
