"""The nouns of the orchestrator: what was asked for, how far it came, and what went wrong, as frozen values."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from trimtab.kernel import Actor, Invalid, TrimtabError, Unavailable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
LONGEST_BACKOFF_S = 3600.0


class StepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One step: a function that a worker process imports and calls with a ``StepContext``.

    ``function`` is ``package.module:function``. ``needs`` names the steps whose outputs it reads. Its params are
    those of the run that ``uses`` names (all when None), with ``params`` over them; what a step cannot see is not
    part of its cache key. With ``cache`` an earlier result of the same code, params and inputs stands for its own;
    ``code`` is the digest of code that the result depends on besides the function's modules.

    A failure is tried again ``retries`` times, after ``backoff_s`` seconds, then twice as many, and so on up to an
    hour. ``timeout_s`` is for one attempt. ``isolate`` gives the step a fresh process that ends with it.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    uses: tuple[str, ...] | None = None
    code: str = ""
    retries: int = 0
    backoff_s: float = 1.0
    timeout_s: float | None = None
    cache: bool = False
    isolate: bool = False

    def params_of(self, run_params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params that this step sees."""
        seen = run_params if self.uses is None else {name: run_params[name] for name in self.uses if name in run_params}
        return {**seen, **self.params}

    def backoff_after(self, failures: int) -> float:
        """Return the seconds to wait after the given number of failures (1, 2, ...)."""
        return float(min(self.backoff_s * 2 ** min(failures - 1, 30), LONGEST_BACKOFF_S))

    def check(self, pipeline: str) -> None:
        """Raise ``Invalid`` when this step cannot be run as declared."""
        where = f"pipeline {pipeline}, step {self.name!r}"
        if not NAME.fullmatch(self.name):
            raise Invalid(
                f"{self.name!r} cannot be the name of a step",
                where=where,
                why="The name stands in file names and addresses: letters, digits, - and _, at most 80.",
                next="give the step a short name such as train",
            )
        if not FUNCTION.fullmatch(self.function) or self.function.startswith("__main__:"):
            raise Invalid(
                f"{self.function!r} does not name a function that a worker can import",
                where=where,
                why="A step runs in another process, which imports it by its module's name.",
                next="put the function into a module and write function='package.module:function'",
            )
        if self.retries < 0 or self.backoff_s < 0 or (self.timeout_s is not None and self.timeout_s <= 0):
            raise Invalid(
                "retries, backoff_s or timeout_s is negative",
                where=where,
                why="A step is tried again zero or more times, and its timeout is longer than zero seconds.",
                next="give numbers such as retries=2, backoff_s=1.0, timeout_s=600",
            )


class PipelineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Steps and what each needs; a directed graph without a cycle."""

    name: str
    steps: tuple[StepSpec, ...]

    def step(self, name: str) -> StepSpec:
        return next(step for step in self.steps if step.name == name)

    def check(self) -> None:
        """Raise ``Invalid`` for a name that is taken or unknown, a cycle, or a step that cannot run."""
        where = f"pipeline {self.name}"
        if not NAME.fullmatch(self.name) or not self.steps:
            raise Invalid(
                f"pipeline {self.name!r} has no usable name or no steps",
                where=where,
                why="A pipeline is a name of letters, digits, - and _ and at least one step.",
                next="declare PipelineSpec(name='train', steps=(StepSpec(...),))",
            )
        names = [step.name for step in self.steps]
        for step in self.steps:
            step.check(self.name)
            if names.count(step.name) > 1:
                raise Invalid(
                    f"two steps are called {step.name!r}",
                    where=where,
                    why="Outputs, logs and retries find a step by its name.",
                    next="rename one of them",
                )
            for need in step.needs:
                if need not in names:
                    raise Invalid(
                        f"step {step.name!r} needs {need!r}, which is not a step",
                        where=where,
                        why="It would wait for ever.",
                        next=f"use some of: {', '.join(names)}",
                    )
        done: set[str] = set()
        while ready := [step.name for step in self.steps if step.name not in done and done.issuperset(step.needs)]:
            done.update(ready)
        if stuck := [name for name in names if name not in done]:
            raise Invalid(
                f"steps {', '.join(stuck)} wait for each other",
                where=where,
                why="None of them could ever start.",
                next="remove one of their needs",
            )


class RunStatus(StrEnum):
    """``queued``: nothing has begun. ``running``: something has. The others are final, but for ``retry``."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in {RunStatus.QUEUED, RunStatus.RUNNING}


class StepStatus(StrEnum):
    """``skipped``: a step that it needs failed. ``cached``: an earlier run's outputs were taken over."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CACHED = "cached"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_done(self) -> bool:
        """Say whether the step has outputs."""
        return self in {StepStatus.SUCCEEDED, StepStatus.CACHED}

    @property
    def is_final(self) -> bool:
        return self not in {StepStatus.WAITING, StepStatus.RUNNING}


class Outcome(StrEnum):
    """How an attempt ended. ``failed`` and ``timeout`` count against ``retries``; ``crashed`` (the worker died) and
    ``lost`` (its whole program died) each against a limit of its own; ``interrupted`` (its program was stopped, or
    the database, a disk or the blob store was away) against nothing."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LOST = "lost"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class StepError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a step failed, in the four parts. ``type`` is the exception's name; its traceback is in the log only.

    ``is_outside``: something outside was away (a database, a source, the program itself), and nothing is wrong with
    the step.
    """

    type: str
    code: str
    what: str
    where: str
    why: str
    next: str
    is_outside: bool = False

    @classmethod
    def of(cls, error: TrimtabError) -> "StepError":
        return cls(type=type(error).__name__, is_outside=isinstance(error, Unavailable), **error.parts())


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """How far one step of a run has come. ``seconds`` is real time of the last attempt, in the worker.

    ``attempts`` counts every start. ``error`` is that of the last attempt, also while it waits for the next one
    (from ``not_before`` on, by the machine's clock). ``done`` of ``total`` ``unit`` is what the body reports.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    status: StepStatus
    attempts: int = 0
    fence: int = 0
    outputs: dict[str, Any] | None = None
    error: StepError | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: float | None = None
    cached_from: str | None = None
    not_before: datetime | None = None
    done: float | None = None
    total: float | None = None
    unit: str | None = None


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a pipeline, with its whole spec, so that it goes on whatever becomes of the file that declared it."""

    id: str
    pipeline: str
    status: RunStatus
    spec: PipelineSpec
    params: dict[str, Any]
    actor: Actor
    because: str
    submitted_at: datetime
    finished_at: datetime | None = None
    key: str | None = None
    steps: tuple[StepRun, ...] = ()

    def step(self, name: str) -> StepRun:
        return next(step for step in self.steps if step.name == name)

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Return the outputs of the steps that have some, by step."""
        return {step.name: step.outputs for step in self.steps if step.outputs is not None}


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a step's body; ``outcome`` is None while it runs."""

    step: str
    attempt: int
    fence: int
    outcome: Outcome | None
    started_at: datetime
    finished_at: datetime | None = None
    seconds: float | None = None
    error: StepError | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner tells while it works, for bars and lines.

    ``progress`` carries ``done`` of ``total`` ``unit`` (total None when unknown), ``said`` a line of ``text``,
    ``retrying`` and ``failed`` the error in ``text``. ``steps_done`` of ``steps_total`` is the run as a whole.
    """

    kind: Literal["started", "progress", "said", "finished", "cached", "retrying", "failed", "skipped", "cancelled"]
    run_id: str
    step: str
    attempt: int = 0
    done: float | None = None
    total: float | None = None
    unit: str = ""
    text: str = ""
    seconds: float | None = None
    steps_done: int = 0
    steps_total: int = 0
