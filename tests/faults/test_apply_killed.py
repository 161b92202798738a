"""``kill -9`` of ``trimtab apply`` wherever it is: the next one goes on, and nothing shows that it happened."""

import random
import time

from tests.faults.evidence import (
    Outcome,
    check_each_step_finished_once,
    check_nothing_lies_about,
    check_tracking,
)
from tests.journeys.project import write
from tests.journeys.shell import Shell, kill
from tests.waiting import wait_until

BECAUSE = "the parcels of early 2013"
APPLY = ("apply", "--yes", "--because", BECAUSE)
MOMENTS = (
    "trimtab_project  .", "snapshot-parcels ...", "materialise-parcel ...", "features-slow ...", "train-slow ...",
    "train-slow: trained", "evaluate-slow ...", "register-slow ...", "declare ...",
)  # fmt: skip
"""What the command has said when it is killed, a random moment later. Before the first it is killed while the home
comes into being."""
LATER_S = 0.4
LAST_S = 0.02
"""How much later at most; the last steps are over in a moment."""


def test_killed_at_every_stage_it_goes_on(shell: Shell, approved: Shell) -> None:
    write(shell.folder, models=1)
    chance = random.Random(9)
    last = MOMENTS.index("train-slow: trained")
    killed = [
        kill_apply(shell, place, chance.uniform(0.0, LATER_S if place < last else LAST_S))
        for place in range(-1, len(MOMENTS))
    ]
    assert sum(killed) >= 8, "it was over before it could be killed"
    shell.run(*APPLY)
    shell.run("plan", code=0)
    (run,) = shell.json("get", "pipelines")
    check_each_step_finished_once(shell, run)
    trainings = next(step["attempts"] for step in run["steps"] if step["name"] == "train-slow")
    check_tracking(shell, finished=range(1, trainings + 1))
    outcome, calm = Outcome(shell), Outcome(approved)
    assert [(number, covered) for number, _, covered in outcome.versions] == [(n, c) for n, _, c in calm.versions]
    assert outcome.snapshots == calm.snapshots
    shell.run("verify")
    check_nothing_lies_about(shell)


def kill_apply(shell: Shell, place: int, later_s: float) -> bool:
    """Start it and kill its main process only, at a moment or a later one; say whether it was still at work then."""
    process = shell.start(*APPLY)
    assert process.stdout is not None
    with process:
        if place < 0:
            wait_until(shell.home.exists, "the home is being made", alive=process)
            later_s /= 4
        else:
            next((line for line in process.stdout if line.startswith(MOMENTS[place:])), None)
        time.sleep(later_s)
        alive = process.poll() is None
        kill(process.pid)
    # Its workers notice by themselves, before anybody can look.
    wait_until(lambda: not shell.processes(), "the workers are gone")
    return alive
