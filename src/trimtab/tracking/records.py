"""The nouns of tracking: experiments, runs, and what a run has logged."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec


class RunStatus(StrEnum):
    """``lost``: the process that made the run ended without saying so."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"


RunKind = Literal["user", "pipeline"]


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A name under which runs are compared."""

    id: str
    name: str
    created_at: datetime
    created_by: str


OddNumber = Literal["nan", "inf", "-inf"]
"""A number that JSON has no number for, in words."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a run: its last value (by step, then time), and what its points were like.

    ``value`` is None for NaN. ``min`` and ``max`` leave NaN out. JSON writes infinities as null too: ``odd`` says in
    words which of the three are NaN or infinite.
    """

    value: float | None
    step: int
    at: datetime
    points: int
    min: float | None = None
    max: float | None = None
    odd: Mapping[str, OddNumber] = {}


class MetricPoint(msgspec.Struct, frozen=True, array_like=True):
    """One value of a metric. ``at_us`` is microseconds since 1970; NaN and infinities travel as text in JSON."""

    key: str
    step: int
    at_us: int
    value: float | OddNumber


class DatasetLink(msgspec.Struct, frozen=True, kw_only=True):
    """Data that a run used: its digest, what it was used for, and its name or snapshot if it has one."""

    digest: str
    role: str = "train"
    name: str = ""
    rows: int | None = None


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a run. ``id`` is its address; ``name`` is only what the run calls it, with ``/`` between folders."""

    id: str
    run_id: str
    name: str
    digest: str
    size_bytes: int
    media_type: str
    logged_at: datetime


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What a run held when it ended: a digest of each part, in an order that does not depend on how it was written."""

    points: int
    metrics: str
    params: str
    tags: str
    artifacts: str
    datasets: str
    models: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its parameters, tags and last metrics. ``seal`` is there once it has ended."""

    id: str
    experiment: str
    name: str
    kind: RunKind
    status: RunStatus
    actor: str
    started_at: datetime
    finished_at: datetime | None = None
    parent_id: str | None = None
    host: str | None = None
    error: str = ""
    seal: Seal | None = None
    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    metrics: Mapping[str, Measured] = {}
    datasets: tuple[DatasetLink, ...] = ()

    @property
    def duration_s(self) -> float | None:
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs in the order that was asked for, and where the next page begins (None: it was the last)."""

    items: tuple[Run, ...]
    next: str | None = None


class PointPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some points of one metric, in the order in which they were logged."""

    items: tuple[MetricPoint, ...]
    next: str | None = None


# --- what a recorder sends -----------------------------------------------------------------------------------------


class StartRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a run that is known when it starts.

    ``id`` may be chosen by the caller, so that it can ask twice. ``process`` names the process that makes the run, on
    ``host``; without it the run is never taken for lost.
    """

    experiment: str = "default"
    name: str = ""
    kind: RunKind = "user"
    parent_id: str | None = None
    id: str | None = None
    host: str | None = None
    process: str | None = None
    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    because: str = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one writer of a run has to say since its last batch. The same ``number`` again changes nothing."""

    writer: str
    number: int
    params: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    points: tuple[MetricPoint, ...] = ()
    datasets: tuple[DatasetLink, ...] = ()
    console: str = ""


class FinishRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run ended. ``error`` is the exception's type and message."""

    status: RunStatus = RunStatus.FINISHED
    error: str = ""
    because: str = ""


# --- models --------------------------------------------------------------------------------------------------------


class InputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a model takes. ``categories`` are the texts seen in training, in the order of their codes.

    ``nullable``: values were missing in the sample, or the model says that it can do without. ``missing``: values were
    missing in the sample; unset in models that were kept before this was noted.
    """

    name: str
    kind: Literal["float", "int", "bool", "category"]
    categories: tuple[str, ...] = ()
    nullable: bool = True
    missing: bool | msgspec.UnsetType = msgspec.UNSET


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answers for a row: ``probability`` and ``label`` of a classifier, ``prediction`` of a regressor."""

    name: str
    kind: Literal["float", "int", "text"]
    size: int | None = None
    """None for one value a row, else how many."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What goes in and what comes out. ``container``: whether it learnt from a frame with names or a plain matrix."""

    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    task: Literal["classification", "regression", "other"]
    classes: tuple[str | int | float | bool, ...] = ()
    container: Literal["frame", "matrix"] = "frame"


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a run keeps it.

    The digests name blobs: ``digest`` the model's bytes, ``signature_digest`` its signature (JSON), ``sample`` some
    rows that it learnt from (Parquet), ``profile`` what all of them were like (JSON). ``packages`` are the versions of
    the libraries that made the bytes; ``why`` says why this format was chosen.
    """

    name: str
    format: Literal["onnx", "skops"]
    digest: str
    size_bytes: int
    signature: Signature
    signature_digest: str
    sample: str
    profile: str
    packages: Mapping[str, str] = {}
    why: str = ""


# --- environment ---------------------------------------------------------------------------------------------------


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the code stood: commit, and the digest of what was changed since and not committed."""

    commit: str
    branch: str = ""
    remote: str = ""
    dirty: bool = False
    diff: str | None = None
    diff_bytes: int = 0
    untracked: tuple[str, ...] = ()


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a run ran in. ``digest`` covers what decides about results: Python, platform and packages, not the host."""

    python: str
    implementation: str
    platform: str
    machine: str
    host: str
    cpu: str
    cpus: int
    memory_bytes: int | None
    entry: str
    packages: Mapping[str, str]
    code: CodeState | None
    digest: str


def json_value(value: float) -> float | OddNumber:
    """Return a metric's value as JSON can carry it."""
    if value - value == 0.0:
        return value
    return "nan" if value != value else "inf" if value > 0 else "-inf"  # noqa: PLR0124  NaN differs from itself


def plain(record: Any) -> Any:
    """Return a record as plain dictionaries and lists."""
    return msgspec.to_builtins(record)
