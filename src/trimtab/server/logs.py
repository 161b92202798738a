"""The server's log: where it is written, and how it is read on as it grows."""

import logging
import logging.handlers
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trimtab.kernel import NotFound
from trimtab.store import Store

MOST_BYTES = 5_000_000
_PART_BYTES = 1 << 20


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a log, and where the next part begins; ``file`` tells one file of the log from the one begun after it."""

    text: str
    file: str
    next_offset: int


def server_log(store: Store, *, file: str = "", offset: int | None = None) -> LogPart:
    """Return what stands in the log from an offset on, at most 1 MiB; without an offset, the last of it.

    When the log was begun anew since ``file``, the offset is that of an older file, and it is read from its beginning.
    Raises ``NotFound`` where no server has said anything.
    """
    try:
        with log_file(store.settings.home_path).open("rb") as opened:
            size = opened.seek(0, 2)
            now = str(log_file(store.settings.home_path).stat().st_ino)
            start = max(0, size - MOST_BYTES) if offset is None else offset if file in ("", now) else 0
            opened.seek(start)
            data = opened.read(size - start if offset is None else _PART_BYTES)
    except FileNotFoundError:
        raise NotFound(
            "there is no log of a server",
            where=f"folder {store.settings.home}",
            why="No server has run with this home, or it had nothing to say.",
            next="trimtab up",
        ) from None
    return LogPart(text=data.decode("utf-8", "replace"), file=now, next_offset=start + len(data))


def log_file(home: Path) -> Path:
    return home / "logs" / "server.log"


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Write warnings and faults to a file in the home, at most 5 MB and one older piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("trimtab", "uvicorn")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
