"""Hold a run, and what its steps have returned, against their events, before anything is done in its name.

The rows say what is to run, with which parameters and in whose name. Whoever can write the database could say anything
there; the event of the submission, and those of finished steps, hold the digests of what was said.
"""

from typing import Any

import msgspec
from sqlalchemy import select

from trimtab.kernel import digest_of_bytes
from trimtab.pipelines.events import PipelineSubmitted, StepCached, StepFinished
from trimtab.pipelines.find import OPEN, read_run
from trimtab.pipelines.finish import Taken
from trimtab.pipelines.records import PipelineRun, PipelineSpec
from trimtab.pipelines.tables import pipeline_runs as runs
from trimtab.pipelines.tables import pipeline_steps as steps
from trimtab.store import RowForged, Store, told_of

_DONE = (StepFinished.type, StepCached.type)


class Vouched:
    """What the ledger tells of runs and their steps, as far as it was asked. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._digests: dict[str, dict[str, str]] = {}
        self._kept: list[tuple[Any, ...]] = []
        """What the steps have returned of the run from which one was taken over last."""

    def check_run(self, run: PipelineRun) -> None:
        """Raise ``RowForged`` unless a run is what was submitted, by whom and why."""
        query = select(runs.c.spec, runs.c.params).where(runs.c.id == run.id)
        with self._store.read() as connection:
            row = connection.execute(query).first()
            told = told_of(connection, "pipeline-run", run.id, types=[PipelineSubmitted.type])
        said = next((one for one in told if one.data["run"] == run.id), None)
        right = (
            row is not None
            and said is not None
            and (said.actor, said.because) == (run.actor, run.because)
            and (said.data["pipeline"], said.data["spec"]) == (run.pipeline, _digest(row.spec))
            and said.data["params"] == _digest(row.params)
            and msgspec.json.decode(row.spec, type=PipelineSpec) == run.spec
            and msgspec.json.decode(row.params) == run.params
        )
        if not right:
            raise _forged("the run is not what anybody submitted", f"pipeline run {run.id}")

    def check_outputs(self, run_id: str, step: str, outputs: dict[str, Any] | None) -> None:
        """Raise ``RowForged`` unless a step that is done has returned these outputs; removed ones are none."""
        if outputs is None:
            return
        query = select(steps.c.outputs).where(steps.c.run_id == run_id, steps.c.name == step)
        with self._store.read() as connection:
            text = connection.execute(query).scalar()
        if text is None or msgspec.json.decode(text) != outputs or not self.is_told(run_id, step, text):
            raise _forged(f"step {step} has not returned what its row says", f"pipeline run {run_id}")

    def is_told(self, run_id: str, step: str, outputs: str) -> bool:
        """Say whether the text of a step's outputs is what its event tells."""
        digest = _digest(outputs)
        if self._digests.get(run_id, {}).get(step) != digest:
            with self._store.read() as connection:
                told = told_of(connection, "pipeline-run", run_id, types=_DONE)
            self._digests[run_id] = {
                one.data["step"]: one.data["outputs"] for one in told if one.data["run"] == run_id
            }  # fmt: skip
        return self._digests.get(run_id, {}).get(step) == digest

    def is_taken(self, taken: Taken) -> bool:
        """Say whether a step that is done has returned these outputs and kept these bytes, under this key."""
        said = (taken.run_id, taken.step, taken.key, _digest(taken.outputs), list(taken.blobs))
        if said not in self._kept:
            with self._store.read() as connection:
                told = told_of(connection, "pipeline-run", taken.run_id, types=_DONE)
            names = ("run", "step", "key", "outputs", "blobs")
            self._kept = [tuple(one.data.get(name) for name in names) for one in told]
        return said in self._kept

    def note(self, run_id: str, step: str, outputs: bytes) -> None:
        """Know what was just written down of a step here."""
        self._digests.setdefault(run_id, {})[step] = digest_of_bytes(outputs)

    def forget(self, run_id: str) -> None:
        self._digests.pop(run_id, None)


def check_open_runs(store: Store) -> int:
    """Raise ``RowForged`` for the first open run, or step of one, that is not what its events tell; return how many."""
    vouched = Vouched(store)
    with store.read() as connection:
        ids = connection.execute(select(runs.c.id).where(runs.c.status == OPEN).order_by(runs.c.id)).scalars().all()
        found = [read_run(connection, id_) for id_ in ids]
    for run in found:
        vouched.check_run(run)
        for step in run.steps:
            vouched.check_outputs(run.id, step.name, step.outputs)
    return len(found)


def _digest(text: str) -> str:
    return digest_of_bytes(text.encode())


def _forged(what: str, where: str) -> RowForged:
    return RowForged(
        what, where=where, why="Somebody wrote to the database past Trimtab. Nothing is done in its name.",
        next="stop what writes to it, and restore the database from a backup",
    )  # fmt: skip
