"""The clock of a project: the machine's, or one that was set to the time of the project's data."""

from datetime import datetime
from pathlib import Path

import msgspec

from trimtab.kernel import Clock, Invalid, Settings, StartedClock, SystemClock, locked, parse_time


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
        started = _set(path, start)
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


def _set(path: Path, start: datetime) -> _Started:
    """Set the clock, unless another process was quicker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name("clock.lock")):
        started = _read(path)
        if started is None or started.start != start:
            started = _Started(start, SystemClock().now())
            temporary = path.with_name(f".{path.name}.new")
            temporary.write_bytes(msgspec.json.encode(started))
            temporary.replace(path)
    return started
