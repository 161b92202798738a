"""Waiting for the disk, together: what SQLite does alone in each commit, done once for all who wait.

With ``synchronous=NORMAL`` a commit in WAL mode is written, but not yet forced to disk; ``FULL`` would force the log
inside each commit, one after the other. Forcing the same file after the commit gives the same promise, and one call
serves every commit that was made before it began. (SQLite itself forces the log before it moves pages out of it.)
"""

import os
import threading
from pathlib import Path

from trimtab.store.failures import StoreAway


class Disk:
    """Forces a database's write-ahead log to disk for many threads at once."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lead = threading.Lock()
        self._started = 0
        self._finished = 0

    def flush(self) -> None:
        """Return when everything that was written before the call is on disk."""
        # A flush that starts after this line covers what the caller wrote; one that is already going on may not.
        enough = self._started + 1
        with self._lead:
            if self._finished >= enough:
                return
            self._started += 1
            _force(self._log)
            self._finished = self._started


def _force(path: Path) -> None:
    """Return when the file's bytes are on disk; a file that is no longer there needs nothing."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return  # the last connection has moved the log into the database, and forced that
    try:
        # As SQLite does: of what is known about the file, no more than is needed to read its bytes.
        os.fdatasync(file) if hasattr(os, "fdatasync") else os.fsync(file)
    except OSError as error:
        raise StoreAway(
            "the disk did not confirm a change",
            where="store.disk",
            why=f"It says: {error.strerror}. Whether the change survives a power failure is not known.",
            next="look at the disk, then check with trimtab verify",
        ) from error
    finally:
        os.close(file)
