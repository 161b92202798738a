"""What the ledger hears of tracking."""

from typing import ClassVar

from trimtab.store import Event, Subject
from trimtab.tracking.records import RunKind, RunStatus, Seal


class ExperimentCreated(Event, frozen=True, kw_only=True):
    """A name under which runs are compared was used for the first time."""

    type: ClassVar[str] = "tracking.experiment-created"

    experiment_id: str
    name: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("experiment", self.experiment_id),)


class RunStarted(Event, frozen=True, kw_only=True):
    """A run began."""

    type: ClassVar[str] = "tracking.run-started"

    run_id: str
    experiment_id: str
    kind: RunKind
    parent_id: str | None

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("run", self.run_id), Subject("experiment", self.experiment_id))


class RunFinished(Event, frozen=True, kw_only=True):
    """A run ended, and this is the digest of everything that it logged."""

    type: ClassVar[str] = "tracking.run-finished"

    run_id: str
    status: RunStatus
    seal: Seal

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("run", self.run_id),)


class RunResumed(Event, frozen=True, kw_only=True):
    """A run that had ended goes on; its next end seals it again."""

    type: ClassVar[str] = "tracking.run-resumed"

    run_id: str
    was: RunStatus

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("run", self.run_id),)


class RunTagged(Event, frozen=True, kw_only=True):
    """Tags of a run that had ended were set or, when empty, removed. Their values may hold names, so only a digest."""

    type: ClassVar[str] = "tracking.run-tagged"

    run_id: str
    keys: tuple[str, ...]
    tags: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("run", self.run_id),)

    def after(self) -> str:
        return self.tags
