"""What the ledger remembers of pipelines."""

from typing import ClassVar

from trimtab.store import Event, Subject


class _OfRun(Event, frozen=True, kw_only=True):
    run: str
    pipeline: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("pipeline-run", self.run), Subject("pipeline", self.pipeline))


class PipelineSubmitted(_OfRun, frozen=True, kw_only=True):
    """Someone asked for a run; it is durable from here on."""

    type: ClassVar[str] = "pipelines.run-submitted"
    spec: str
    params: str
    steps: int


class StepFinished(_OfRun, frozen=True, kw_only=True):
    """A step's body returned; ``outputs`` is the digest of what it returned, ``blobs`` the bytes that it kept.

    ``key`` says what the result depends on, where an equal step may take it over.
    """

    type: ClassVar[str] = "pipelines.step-finished"
    step: str
    attempt: int
    fence: int
    outputs: str
    blobs: tuple[str, ...]
    key: str | None

    def subjects(self) -> tuple[Subject, ...]:
        return (*super().subjects(), *(Subject("blob", digest, digest) for digest in self.blobs))

    def after(self) -> str | None:
        return self.outputs


class StepCached(_OfRun, frozen=True, kw_only=True):
    """A step was not run, because an equal one had been: its outputs were taken over from ``taken_from``."""

    type: ClassVar[str] = "pipelines.step-cached"
    step: str
    key: str
    taken_from: str
    outputs: str
    blobs: tuple[str, ...]

    def subjects(self) -> tuple[Subject, ...]:
        return (
            *super().subjects(),
            Subject("pipeline-run", self.taken_from),
            *(Subject("blob", digest, digest) for digest in self.blobs),
        )

    def after(self) -> str | None:
        return self.outputs


class StepFailed(_OfRun, frozen=True, kw_only=True):
    """A step failed for good; ``code`` is that of its error."""

    type: ClassVar[str] = "pipelines.step-failed"
    step: str
    attempt: int
    fence: int
    code: str


class PipelineFinished(_OfRun, frozen=True, kw_only=True):
    """Nothing of the run is left to do. ``outputs`` is the digest of the outputs of all its steps."""

    type: ClassVar[str] = "pipelines.run-finished"
    status: str
    outputs: str

    def after(self) -> str | None:
        return self.outputs


class PipelineCancelled(_OfRun, frozen=True, kw_only=True):
    """Someone stopped the run; ``steps`` are those that will not run."""

    type: ClassVar[str] = "pipelines.run-cancelled"
    steps: tuple[str, ...]


class PipelineRetried(_OfRun, frozen=True, kw_only=True):
    """Someone asked for another try; ``steps`` wait again."""

    type: ClassVar[str] = "pipelines.run-retried"
    steps: tuple[str, ...]
