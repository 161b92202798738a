"""``kill -9`` of a replay, again and again, wherever it is: it goes on, and ends as if nobody had disturbed it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.loop.replays import START, opened, replayed, written

from trimtab.kernel import Settings, VirtualClock
from trimtab.loop import Turn, list_turns
from trimtab.monitoring import performance
from trimtab.registry import list_approvals, list_versions
from trimtab.serving import decisions, get_endpoint
from trimtab.store import open_store, verify

KILLS = 50
DAYS = 16
SHORTEST_S, LONGEST_S = 1.0, 6.0
"""When a start is killed: between the import of the program and some days of the replay, trainings among them."""
ENDING = """
slow.serve(rollout=tt.shadow("12h") >> tt.canary(50, each="12h") >> tt.full, sticky_by="parcel_id")
slow.retrain_when(tt.every("3d"))
"""


@pytest.mark.timeout(600)
def test_killed_fifty_times_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    file = written(tmp_path, ENDING)
    command = [
        sys.executable, "-c", "from trimtab.cli.main import main; main()", "--home", str(tmp_path / "home"),
        "replay", str(file), "--from", "2013-02-01", "--to", "2013-02-16", "-o", "json",
    ]  # fmt: skip
    chance, killed, anew = random.Random(3), 0, False
    while killed < KILLS:
        # One that was over before its kill gives way to the same replay from its beginning.
        anew = started([*command, "--again"] if anew else command, chance.uniform(SHORTEST_S, LONGEST_S), tmp_path)
        killed += not anew
    report = ended(started_process(command, tmp_path))
    calm, calm_turns = replayed(tmp_path / "calm", file, days=DAYS)
    (home,) = (tmp_path / "home" / "replays").iterdir()
    end = START + timedelta(days=DAYS)
    with closing(open_store(Settings(home=str(home)), clock=VirtualClock(end))) as store:
        assert verify(store).kind == "intact"
        assert shape(list_turns(store)[::-1]) == shape(calm_turns)
        answered = [one for one in decisions(store, "slow", limit=10_000) if one.stage != "shadow"]
        keys = [one.key["parcel_id"] for one in answered if one.key]
        assert len(keys) == len(set(keys)) == DAYS * 48, "each row was answered once, and no answer was lost"
        found = performance(store, "slow", version=None, since=START, until=end)
        with closing(opened(tmp_path / "calm", at=end)) as other:
            assert found == performance(other, "slow", version=None, since=START, until=end)
            assert get_endpoint(store, "slow").routing == get_endpoint(other, "slow").routing
        versions = list_versions(store, "slow").items
        approvals = [approval for version in versions for approval in list_approvals(store, version.ref)]
        assert len(approvals) == len({approval.version for approval in approvals}), (
            "no approval was given or used twice"
        )
    assert (report["turns"], report["promoted"], report["loss"]) == (calm.turns, calm.promoted, calm.loss)


def started(command: list[str], kill_after_s: float, folder: Path) -> bool:
    """Run the replay and kill it, with all its workers, so many seconds later; say whether it was over by then."""
    process = started_process(command, folder)
    deadline = time.monotonic() + kill_after_s
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll() is not None:
        ended(process)
        return True
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return False


def started_process(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )  # fmt: skip


def ended(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait for the end of a replay and return its report."""
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()[-2000:]
    found: dict[str, Any] = json.loads(out)
    return found


def shape(turns: list[Turn]) -> list[tuple[Any, ...]]:
    """Return what must be the same after any number of kills: all but ids, which count the starts."""
    return [(t.version, t.champion, t.state, [(move.at, move.state) for move in t.moves]) for t in turns]
