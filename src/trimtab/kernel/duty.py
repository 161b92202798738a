"""Work that a server does in the background for ever: what ends a round of it is seen, told, and tried again."""

import logging
import threading
from collections.abc import Callable

from trimtab.kernel.errors import TrimtabError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_log = logging.getLogger(__name__)


class Duty:
    """Something that is done again and again, on a thread of its own, until ``stop``.

    ``work`` is one round; the next begins ``every_s`` seconds after its end. Whatever ends a round with an error is
    logged, is the ``trouble`` until a round goes well, and delays the next one: by a second, then twice as long, up to
    a minute. No error ends the thread. ``wake`` ends the waiting inside a round, so that ``stop`` need not wait for it.
    """

    def __init__(
        self, name: str, work: Callable[[], object], *, every_s: float = 0.0, wake: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.error: BaseException | None = None
        """What ended the last round, until one goes well."""
        self._work = work
        self._every_s = every_s
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

    def _round(self) -> None:
        try:
            self._work()
        except TrimtabError as error:
            self.error = error
            _log.warning("%s: %s", self.name, error)
        except BaseException as fault:  # noqa: BLE001  what would end a thread, SystemExit too, must not end the duty
            self.error = fault
            _log.exception("%s: a fault; it begins again", self.name)
        else:
            self.error, self._failed = None, 0
            return
        self._failed += 1

    def _go_on(self) -> None:
        while not self._stopping.is_set():
            self._round()
            pause_s = min(FIRST_PAUSE_S * 2 ** min(self._failed - 1, 10), LONGEST_PAUSE_S)
            self._stopping.wait(pause_s if self._failed else self._every_s)
