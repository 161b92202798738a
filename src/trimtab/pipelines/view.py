"""An open run as its runner last saw it: what is ready, and what changed since the look before."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from trimtab.pipelines.find import is_final, read_steps_of, step_of
from trimtab.pipelines.records import PipelineRun, Progress, StepRun, StepSpec, StepStatus

_KINDS = {
    StepStatus.SUCCEEDED: "finished",
    StepStatus.CACHED: "cached",
    StepStatus.FAILED: "failed",
    StepStatus.SKIPPED: "skipped",
    StepStatus.CANCELLED: "cancelled",
}


class RunView:
    """The steps of one run. Every look costs only what it reads, so that a run of a thousand steps stays cheap."""

    def __init__(self, run: PipelineRun) -> None:
        self.run = run
        """The run as it was first seen: take from it what never changes, and not its steps."""
        self.is_over = run.status.is_final
        self._specs = {spec.name: spec for spec in run.spec.steps}
        self._order = {name: position for position, name in enumerate(self._specs)}
        self._steps = {step.name: step for step in run.steps}
        self._dependents: dict[str, list[str]] = {name: [] for name in self._specs}
        for spec in run.spec.steps:
            for need in dict.fromkeys(spec.needs):
                self._dependents[need].append(spec.name)
        self._ready = {name for name in self._specs if self._is_ready(name)}
        self._waiting = sum(step.status is StepStatus.WAITING for step in run.steps)
        self._final = sum(step.status.is_final for step in run.steps)

    def spec(self, step: str) -> StepSpec:
        return self._specs[step]

    def step(self, name: str) -> StepRun:
        return self._steps[name]

    @property
    def is_complete(self) -> bool:
        """Say whether every step is final, so that the run is about to be over."""
        return self._final == len(self._steps)

    def ready(self) -> list[StepRun]:
        """Return the steps that wait for nothing but a worker (or the time of a retry), in the order of the spec."""
        return [self._steps[name] for name in sorted(self._ready, key=self._order.__getitem__)]

    def inputs(self, step: StepRun) -> dict[str, dict[str, Any]]:
        """Return the outputs of the steps that a ready step needs."""
        return {need: self._steps[need].outputs or {} for need in step.needs}

    def is_last(self, step: str) -> bool:
        """Say whether the run may be over when this step is: no other one waits."""
        return self._waiting - (self._steps[step].status is StepStatus.WAITING) == 0

    def look(self, connection: Connection, step: str | None = None) -> Iterator[Progress]:
        """Read the run again, one step or all, and yield what happened, also by other runners' hands."""
        self.is_over = is_final(connection, self.run.id)
        for row in read_steps_of(connection, self.run.id, step):
            old, new = self._steps[row.name], step_of(row, self._specs[row.name])
            if old != new:
                self._put(old, new)
                yield from self._changes(old, new)

    def put(self, step: StepRun) -> Iterator[Progress]:
        """Take a step as this runner has just written it, without reading it back, and yield what that means."""
        old = self._steps[step.name]
        self._put(old, step)
        return self._changes(old, step)

    def progress(self, step: StepRun, kind: str, text: str | None = None) -> Progress:
        """Return one line of progress about a step as it stands."""
        why = "" if step.error is None else step.error.what
        return Progress(
            kind=kind,  # type: ignore[arg-type]  # one of the words of Progress
            run_id=self.run.id,
            step=step.name,
            attempt=step.attempts,
            done=step.done,
            total=step.total,
            unit=step.unit or "",
            text=why if text is None else text,
            seconds=step.seconds,
            steps_done=self._final,
            steps_total=len(self._steps),
        )

    def _put(self, old: StepRun, new: StepRun) -> None:
        self._steps[new.name] = new
        self._waiting += (new.status is StepStatus.WAITING) - (old.status is StepStatus.WAITING)
        self._final += new.status.is_final - old.status.is_final
        for name in (new.name, *self._dependents[new.name]):
            (self._ready.add if self._is_ready(name) else self._ready.discard)(name)

    def _is_ready(self, name: str) -> bool:
        step = self._steps[name]
        return step.status is StepStatus.WAITING and all(self._steps[need].status.is_done for need in step.needs)

    def _changes(self, old: StepRun, new: StepRun) -> Iterator[Progress]:
        if new.attempts > old.attempts:
            yield self.progress(new, "started")
        if new.status is not old.status and new.status in _KINDS:
            yield self.progress(new, _KINDS[new.status])
        elif new.not_before is not None and new.not_before != old.not_before:
            yield self.progress(new, "retrying")
        elif new.done is not None and (new.done, new.total) != (old.done, old.total):
            yield self.progress(new, "progress")
