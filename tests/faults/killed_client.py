"""A client that writes to a store on and on and is killed: tokens, pipelines and tracked runs.

What it was told is done it writes down first, one line in a file for each. Killed, it begins again with the first round
that it has not written down, under the same keys: a change that was made already is then not made a second time.
"""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from trimtab.kernel import Actor, Unavailable, load
from trimtab.pipelines import PipelineRun, PipelineSpec, RunStatus, StepContext, StepSpec, list_pipeline_runs, submit
from trimtab.server import issue_token
from trimtab.store import AlreadyDone, Store, open_store
from trimtab.tracking import RunRecorder, start_run

WRITER = Actor("writer")
STEPS = 5
"""Points of a run; each is flushed."""
SUBMITS_EVERY = 8
OPEN_AT_MOST = 3
ENOUGH = ".enough"
"""The file beside that of the acknowledgements that asks for an end."""
_PAUSE_S = 0.02
T = TypeVar("T")

PIPELINE = PipelineSpec(
    name="written",
    steps=(
        StepSpec(name="left", function=f"{__name__}:learn", params={"start": 1.0}),
        StepSpec(name="right", function=f"{__name__}:learn", params={"start": -1.0}),
        StepSpec(name="both", function=f"{__name__}:both", needs=("left", "right")),
    ),
)


def learn(context: StepContext) -> dict[str, Any]:
    """Go down the square of the distance to the seed for a while."""
    at = context.params["start"]
    for _ in range(200_000):
        at -= 1e-4 * (at - context.params["seed"])
    return {"at": at, "kept": context.put_bytes(f"{context.run_id} {context.step} {at!r}".encode())}


def both(context: StepContext) -> dict[str, Any]:
    return {"sum": context.inputs["left"]["at"] + context.inputs["right"]["at"]}


def write(acknowledged: Path) -> int:
    """Write until there is enough."""
    store = insisting(lambda: open_store(load()[0]))
    rounds = [line for line in acknowledged.read_text().splitlines() if line.startswith("round ")]
    with acknowledged.open("a", buffering=1) as file:

        def told(what: str) -> None:
            os.write(file.fileno(), f"{what}\n".encode())

        for number in itertools.count(len(rounds)):
            if acknowledged.with_suffix(ENOUGH).exists():
                break
            write_round(store, number, told)
            told(f"round {number}")
    store.close()
    return 0


def write_round(store: Store, number: int, told: Callable[[str], None]) -> None:
    told(f"token {number} {insisting(lambda: issue_once(store, number))}")
    if number % SUBMITS_EVERY == 0 and open_runs(store) < OPEN_AT_MOST:
        told(f"submit {number} {insisting(lambda: submitted(store, number)).id}")
    with insisting(lambda: start_run(store, experiment="killed", actor=WRITER, capture=())) as run:
        track(run, number, told)
    told(f"ended {run.id}")


def issue_once(store: Store, number: int) -> str:
    """Issue a token under a key; say whether it was issued now."""
    try:
        with store.change(WRITER, f"written {number}", key=f"written {number}") as change:
            issue_token(change, f"written-{number}", may=["read"])
    except AlreadyDone:
        return "before"
    return "now"


def submitted(store: Store, number: int) -> PipelineRun:
    return submit(store, PIPELINE, {"seed": float(number)}, actor=WRITER, because="written", key=f"run {number}")


def open_runs(store: Store) -> int:
    states = (RunStatus.QUEUED, RunStatus.RUNNING)
    return insisting(lambda: sum(len(list_pipeline_runs(store, pipeline="written", status=one)) for one in states))


def track(run: RunRecorder, number: int, told: Callable[[str], None]) -> None:
    for step in range(STEPS):
        run.log_metric("loss", number + step / 8, step=step)
        if step == 0:
            run.log_params({"number": number})
        insisting(run.flush)
        told(f"point {run.id} {step} {number + step / 8!r}")


def insisting(action: Callable[[], T]) -> T:
    """Do something, and again as long as the database or the bucket is away."""
    while True:
        try:
            return action()
        except Unavailable:
            time.sleep(_PAUSE_S)
