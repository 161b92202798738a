"""Work that a server does in the background for ever: what ends a round of it is seen, told, and tried again."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trimtab.kernel.errors import TrimtabError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_log = logging.getLogger(__name__)


class Duty:
    """Something that is done again and again, on a thread of its own, until ``stop``.

    ``work`` is one round; the next begins ``every_s`` seconds after its end. Whatever ends a round with an error is
    logged, is the ``trouble`` until a round goes well, and delays the next one: by a second, then twice as long, up to
    a minute. No error ends the thread. ``wake`` ends the waiting inside a round, so that ``stop`` need not wait for it.
    What goes on in an event loop instead does each of its rounds within ``round()``.
    """

    def __init__(
        self, name: str, work: Callable[[], Any], *, every_s: float = 0.0, wake: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.error: BaseException | None = None
        """What ended the last round, until one goes well."""
        self.work = work
        self.every_s = every_s
        self._wake = wake
        self._failed = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def trouble(self) -> str:
        """What keeps this from being done, in one line; empty when nothing does."""
        match self.error:
            case None:
                has_ended = self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set()
                return f"{self.name}: its thread has ended" if has_ended else ""
            case TrimtabError() as error:
                return f"{self.name}: {error.what}"
            case fault:
                return f"{self.name}: Trimtab made a mistake: {type(fault).__name__}; see trimtab logs"

    @property
    def is_on(self) -> bool:
        """Say whether it was started, and not stopped since."""
        return self._thread is not None

    def start(self) -> None:
        """Begin, unless that was done. The first round begins at once."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._go_on, name=f"trimtab-{self.name}", daemon=True)
            self._thread.start()

    def stop(self, *, wait_s: float | None = None) -> None:
        """Begin no other round, and wait until the present one is over: at most ``wait_s`` (None: for as long)."""
        self._stopping.set()
        if self._wake is not None:
            self._wake()
        if self._thread is not None:
            self._thread.join(wait_s)
            self._thread = None

    @contextmanager
    def round(self) -> Iterator[None]:
        """Do one round in the block: an error is logged and told, and goes no further."""
        try:
            yield
        except TrimtabError as error:
            _log.warning("%s: %s; trying again", self.name, error)
            self._note(error)
        except Exception as fault:  # noqa: BLE001  the edge of background work, which nobody else would miss
            _log.exception("%s: a fault; trying again", self.name)
            self._note(fault)
        else:
            self.error, self._failed = None, 0

    def _note(self, error: BaseException) -> None:
        self.error = error
        self._failed += 1

    def _go_on(self) -> None:
        while not self._stopping.is_set():
            try:
                with self.round():
                    self.work()
            except BaseException as end:  # noqa: BLE001  what would end a thread must not end the duty
                _log.error("%s was ended; beginning again", self.name, exc_info=end)
                self._note(end)
            pause_s = min(FIRST_PAUSE_S * 2 ** min(self._failed - 1, 10), LONGEST_PAUSE_S)
            self._stopping.wait(pause_s if self._failed else self.every_s)
