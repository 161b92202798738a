"""Connections to PostgreSQL that do not wait for ever: for a host that is gone, nor for a server that says nothing.

A host that is gone is noticed by TCP, within half a minute. A server that is stopped, or a proxy that forgot the
connection, still answers TCP: so a connection that is owed an answer and hears nothing for ``silent_s`` is given up.
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg

from trimtab.store.prepared import Call

TCP = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Parameters of libpq, in seconds but for the last, which is in milliseconds. What a URL says goes before them."""


class Patient(psycopg.Connection[Any]):
    """A connection that closes itself when an answer is not begun, or stands still, for ``silent_s``."""

    silent_s: float = 0.0
    """0: wait for ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.prepared: set[str] = set()
        """Names of the statements that ``send`` has prepared here."""
        self.queued: list[Call] = []
        """What goes with the next message of a write transaction, or at its end."""

    def _deallocate(self, name: bytes | None) -> Generator[Any, Any, None]:
        """Forget what was prepared here too when the driver lets the server forget all that was."""
        if name is None:
            self.prepared.clear()
        yield from super()._deallocate(name)

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **named: Any) -> Any:
        """Wait as the driver does, in its compiled loop, and look at the time whenever that hears nothing."""
        return super().wait(self._heard(gen) if self.silent_s else gen, *args, **named)

    def _heard(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            wanted = next(gen)
            last = time.monotonic()
            while True:
                ready = yield wanted
                if ready:
                    last = time.monotonic()
                elif time.monotonic() - last > self.silent_s:
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has said nothing for {self.silent_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value
