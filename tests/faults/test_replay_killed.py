"""``kill -9`` of a replay, again and again, wherever it is: it goes on, and ends as if nobody had disturbed it."""

import json
import subprocess
import sys
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

KILLS = 25
DAYS = 16
SEED = "3"
PROGRAM = Path(__file__).with_name("killed_replays.py")
ENDING = """
slow.serve(rollout=tt.shadow("12h") >> tt.canary(50, each="12h") >> tt.full, sticky_by="parcel_id")
slow.retrain_when(tt.every("3d"))
"""


@pytest.mark.timeout(3600)
def test_killed_again_and_again_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    file = written(tmp_path, ENDING)
    words = ["--home", str(tmp_path / "home"), "replay", str(file), "--from", "2013-02-01", "--to", "2013-02-16"]
    python([str(PROGRAM), str(KILLS), SEED, *words], tmp_path)
    report = json.loads(python(["-c", "from trimtab.cli.main import main; main()", *words, "-o", "json"], tmp_path))
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


def python(words: list[str], folder: Path) -> str:
    """Run Python in a folder until it ends by itself, and return what it printed."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def shape(turns: list[Turn]) -> list[tuple[Any, ...]]:
    """Return what must be the same after any number of kills: all but ids, which count the starts."""
    return [(t.version, t.champion, t.state, [(move.at, move.state) for move in t.moves]) for t in turns]
