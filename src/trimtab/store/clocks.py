"""The clock of a project: the machine's, or one that was set to the time of the project's data."""

import os
import secrets
from datetime import datetime
from pathlib import Path

import msgspec

from trimtab.kernel import Clock, Invalid, Settings, StartedClock, SystemClock, parse_time


class _Started(msgspec.Struct, frozen=True):
    """When a project's clock was set, by the machine's time, and to what."""

    start: datetime
    since: datetime


def clock_of(settings: Settings) -> Clock:
    """Return the clock that the settings ask for.

    A clock that starts at a given time is set once for each home, so that every process of a project, and the next run
    of it, reads the same time and none goes back.
    """
    if settings.clock == "system":
        return SystemClock()
    start = parse_time(settings.clock, where="setting clock")
    path = settings.home_path / "clock.json"
    started = _read(path)
    if started is None or started.start != start:
        started = _set(path, _Started(start, SystemClock().now()), instead_of=started)
    return StartedClock(start, since=started.since)


def _read(path: Path) -> _Started | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Started)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise Invalid(
            f"{path.name} does not say when the clock was set",
            where=f"{path.name} in the home",
            why="It is written once for each start of the clock, and was changed since.",
            next=f"restore it from a backup, or remove it to start the clock anew: {path}",
        ) from None


def _set(path: Path, started: _Started, *, instead_of: _Started | None) -> _Started:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_bytes(msgspec.json.encode(started))
    try:
        if instead_of is None:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    except FileExistsError:
        # Another process set the clock in the same moment.
        return _read(path) or started
    finally:
        temporary.unlink(missing_ok=True)
    return started
