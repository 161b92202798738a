"""Replays of the small project: written with another ending, replayed in a home, looked at afterwards."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.loop.parcels import write_project

from trimtab.declare import load_project
from trimtab.kernel import Settings, VirtualClock
from trimtab.loop import Replay, ReplayReport, Turn, list_turns, report_of
from trimtab.store import Store, open_store

START = datetime(2013, 2, 1, tzinfo=UTC)
DECLARED = 'slow.serve(rollout=tt.shadow("1d") >> tt.canary(10, each="1d") >> tt.full)\n'


def written(folder: Path, ending: str, **replacements: str) -> Path:
    """Write the small project with other policies at its end."""
    path = write_project(folder / "parcels.py", **{DECLARED: ending, **replacements})
    assert ending in path.read_text("utf-8")
    return path


def opened(home: Path, *, at: datetime = START) -> Store:
    return open_store(Settings(home=str(home), workers=1), clock=VirtualClock(at), seed=5)


def replayed(home: Path, file: Path, *, days: int = 12) -> tuple[ReplayReport, list[Turn]]:
    """Replay the first days of February; return the report and the turns, oldest first."""
    project, end = load_project(file), START + timedelta(days=days)
    with closing(opened(home)) as store:
        driver = Replay(store, project, start=START, end=end)
        driver.run(lambda _told: None)
        return report_of(store, driver.model, start=START, end=end), list_turns(store)[::-1]
