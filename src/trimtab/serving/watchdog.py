"""Watch the event loop from a thread beside it: whatever holds it up holds up every endpoint, and must be named."""

import asyncio
import logging
import sys
import threading
import traceback

BEAT_S = 0.2
STALL_S = 1.0
"""How long the event loop may do one thing before that is told."""
FRAMES = 12
_log = logging.getLogger(__name__)


class Watchdog:
    """Counts in ``stalls`` how often the event loop did one thing for too long, and logs what it was doing."""

    def __init__(self) -> None:
        self.stalls = 0
        self._beats = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch the running event loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._stopped.clear()
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="trimtab-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STALL_S)

    def _beat(self) -> None:
        self._beats += 1
        if self._loop is not None and not self._stopped.is_set():
            self._loop.call_later(BEAT_S, self._beat)

    def _watch(self) -> None:
        seen, told = self._beats, False
        while not self._stopped.wait(STALL_S) and self._loop is not None and not self._loop.is_closed():
            if self._beats != seen:
                seen, told = self._beats, False
            elif not told:
                told = True
                self.stalls += 1
                _log.error("the event loop has not moved for %g s; it is in:\n%s", STALL_S, self._where())

    def _where(self) -> str:
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001  # the documented way to see another thread
        return "" if frame is None else "".join(traceback.format_stack(frame)[-FRAMES:])
