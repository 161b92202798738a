"""What runner and worker say to each other: JSON messages over a socket pair, never pickles."""

from multiprocessing.connection import Connection
from typing import Any, Literal

import msgspec

from trimtab.kernel import Actor, Settings
from trimtab.pipelines.records import StepError


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the worker, once. ``idle_s``: end when nothing was asked for so long."""

    settings: Settings
    idle_s: float


class Do(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the worker: run a step. ``clock`` is ``system``, or the kind of clock that is to show ``now`` (ISO time)."""

    run_id: str
    step: str
    function: str
    params: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    attempt: int
    fence: int
    actor: Actor
    because: str
    log: str
    clock: Literal["system", "started", "virtual"]
    now: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: it has come up."""


class Stale(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: files that it imported have changed since, so another must do this; it ends."""


class Said(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body logged a line."""

    text: str


class Advanced(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body has come so far."""

    done: float
    total: float | None
    unit: str


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body returned ``outputs`` (JSON) and kept ``blobs``."""

    outputs: msgspec.Raw
    blobs: tuple[str, ...]
    seconds: float


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the worker: the body raised. ``is_final``: it would fail again, so it is not tried again."""

    error: StepError
    is_final: bool
    seconds: float


ToWorker = Hello | Do
FromWorker = Ready | Stale | Said | Advanced | Done | Failed

_to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


def send(connection: Connection, message: ToWorker | FromWorker) -> None:
    """Send one message; raise ``OSError`` when the other side is gone."""
    connection.send_bytes(msgspec.json.encode(message))


def receive_in_worker(connection: Connection) -> ToWorker:
    """Wait for the next message; raise ``EOFError`` or ``OSError`` when the runner is gone."""
    return _to_worker.decode(connection.recv_bytes())


def receive_from_worker(connection: Connection) -> FromWorker:
    """Read the next message; raise ``EOFError`` or ``OSError`` when the worker is gone."""
    return _from_worker.decode(connection.recv_bytes())
