"""What must hold after any fault, read from the project itself."""

import os
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any

from tests.journeys.shell import Shell

from trimtab.pipelines.finish import CRASHES_ALLOWED

MODEL = "slow"


class Outcome:
    """What a path ended with: things that do not depend on when it ran, or how often it was killed on the way."""

    def __init__(self, shell: Shell) -> None:
        versions = [one for one in shell.json("get", "versions") if one["model"] == MODEL]
        self.versions = [(one["number"], one["status"], one["covered"]) for one in versions]
        self.snapshots = [one["id"] for one in shell.json("get", "snapshots")]


def check_each_step_finished_once(shell: Shell, run: dict[str, Any]) -> None:
    """Hold one pipeline run's events against its steps."""
    mine = [event for event in shell.events("pipelines.") if event["data"]["run"] == run["id"]]
    check_events_of_run(run, mine)


def check_events_of_run(run: dict[str, Any], mine: Sequence[dict[str, Any]]) -> None:
    """Hold one pipeline run's events, which are given, against its steps."""
    assert run["status"] == "succeeded", run["steps"]
    assert sorted(done_in(mine)) == sorted(step["name"] for step in run["steps"])
    assert [event["type"] for event in mine].count("pipelines.run-finished") == 1


def check_events_of_run_given_up(run: dict[str, Any], mine: Sequence[dict[str, Any]]) -> None:
    """Hold the events of a run with a step that has lost as many workers as it may against its steps."""
    failed = [step for step in run["steps"] if step["status"] == "failed"]
    assert {step["error"]["code"] for step in failed} == {"pipelines.worker-died"}, run["steps"]
    assert all(step["attempts"] >= CRASHES_ALLOWED for step in failed), run["steps"]
    done = [step["name"] for step in run["steps"] if step["status"] in ("succeeded", "cached")]
    assert sorted(done_in(mine)) == sorted(done)
    assert [event["type"] for event in mine].count("pipelines.run-finished") == 1


def done_in(mine: Sequence[dict[str, Any]]) -> list[str]:
    """Return the steps that events tell to be done."""
    return [event["data"]["step"] for event in mine if event["type"].split("-")[-1] in ("finished", "cached")
            and "step" in event["data"]]  # fmt: skip


def check_tracking(shell: Shell, *, finished: Container[int]) -> None:
    """Every training run has ended: those of killed workers as lost.

    One may be finished and its step killed all the same before that was written down: then there are more of them.
    """
    states = Counter(run["status"] for run in shell.json("get", "runs"))
    assert set(states) <= {"finished", "lost"}, states
    assert states["finished"] in finished, states


def check_nothing_lies_about(shell: Shell) -> None:
    """No process runs, and no file that somebody wrote half stays for ever."""
    assert shell.processes() == {}
    for half in (shell.home / "blobs").glob(".*"):
        os.utime(half, (0, 0))
    shell.run("status")
    assert list((shell.home / "blobs").glob(".*")) == []
    assert list((shell.home / "decisions").rglob("*.log")) == []
