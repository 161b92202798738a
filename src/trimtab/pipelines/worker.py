"""The worker: a warm process that runs one step after the other. Its supervisor sees to it that it never outlives the
runner that started it.
"""

import contextlib
import importlib
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from io import TextIOWrapper
from typing import Any, NoReturn

import msgspec

from trimtab.kernel import (
    Clock,
    Invalid,
    NotFound,
    Refused,
    Settings,
    StartedClock,
    SystemClock,
    TrimtabError,
    VirtualClock,
    canonical,
    digest_of,
)  # fmt: skip
from trimtab.pipelines.context import GuestDied, StepContext
from trimtab.pipelines.guest import Guests, Nursery
from trimtab.pipelines.outlet import Outlet
from trimtab.pipelines.protocol import (
    Advanced,
    AttemptId,
    Channel,
    Do,
    Done,
    Failed,
    FromWorker,
    Hello,
    Ready,
    Said,
    Secrets,
    Stale,
    ToWorker,
    sent,
    to_worker_of,
)  # fmt: skip
from trimtab.pipelines.records import StepError
from trimtab.pipelines.staleness import changed_since
from trimtab.pipelines.supervisor import end_like
from trimtab.pipelines.walls import hide_memory
from trimtab.store import Store, StoreAway, open_store

OUTPUTS_LIMIT_BYTES = 1 << 20
PROGRESS_EVERY_S = 0.1


def main(fileno: int, outlet: Outlet) -> None:
    """Serve the runner at the other end of a socket until it closes, or nothing was asked for long."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    channel = Channel(socket.socket(fileno=fileno))
    # What a body forks has nothing to say to the runner.
    os.register_at_fork(after_in_child=channel.close)
    with contextlib.suppress(OSError):
        hello = to_worker_of(channel.receive_one(None) or b"")
        assert isinstance(hello, Hello)
        worker = Worker(channel, outlet)
        with contextlib.closing(worker):
            worker.serve(idle_s=hello.idle_s)


def _commands(channel: Channel, *, idle_s: float | None) -> Iterator[ToWorker]:
    """Yield what is asked for, until the runner is gone, or for ``idle_s`` nothing is."""
    is_there = True
    while is_there and channel.wait(idle_s):
        found, is_there = channel.receive()
        yield from map(to_worker_of, found)


class Worker:
    """The child's side: imports, runs, reports."""

    def __init__(self, channel: Channel, outlet: Outlet) -> None:
        self._channel = channel
        self._outlet = outlet
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._settings = Settings()
        self._clock = StepClock()
        self._store: Store | None = None
        self._guests: Guests | None = None
        self._born_s = SystemClock().now().timestamp()
        self._advanced_at = -PROGRESS_EVERY_S

    def serve(self, *, idle_s: float) -> None:
        self._send(Ready(), None)
        first = self._channel.receive_one(idle_s)
        if first is None:
            return
        command = to_worker_of(first)
        assert isinstance(command, Do)
        self._learn_secrets(command)
        self._do(command)
        for command in _commands(self._channel, idle_s=idle_s):
            assert isinstance(command, Do)
            if changed_since(self._born_s):
                self._send(Stale(), command.id)
                return
            self._do(command)

    def _learn_secrets(self, first: Do) -> None:
        """Bring up what guests are made from, with all that this kind of step imports, and only then what is secret.

        A module of steps may have ``import_before_guests(params)``, for what its steps and their guests both need.
        """
        with contextlib.suppress(Exception):  # what goes wrong is told when the step is called
            module = importlib.import_module(first.function.partition(":")[0])
            if hasattr(module, "import_before_guests"):
                module.import_before_guests(first.params)
        nursery = Nursery.opened()
        secrets = to_worker_of(self._channel.receive_one(None) or b"")
        assert isinstance(secrets, Secrets)
        hide_memory()
        for entry in secrets.environment.split(b"\0"):
            name, _, value = entry.partition(b"=")
            os.environb[name] = value
        self._settings = secrets.settings
        self._guests = Guests(secrets.settings, nursery)

    def close(self) -> None:
        """Close what steps have opened: the store, the guest."""
        if self._guests is not None:
            self._guests.close()
        if self._store is not None:
            self._store.close()

    def open_store(self) -> Store:
        """Open the store at its first use; it stays open, and shows each step its own time."""
        if self._store is None:
            self._store = open_store(self._settings, clock=self._clock)
        return self._store

    def _do(self, do: Do) -> None:
        self._clock.inner = _clock_of(do)
        if isinstance(self._clock.inner, VirtualClock):
            # A replay repeats its ids, whichever worker does the step.
            self.open_store().ids.reseed(int(digest_of([do.id.run_id, do.id.step, do.id.attempt])[7:23], 16))
        self._advanced_at = -PROGRESS_EVERY_S
        began = self._clock.machine.monotonic()
        with _output_to(self._outlet, do.log, limit=self._settings.step_log_bytes):
            reply = self._call(do, began)
            if os.getpid() != self._pid:
                _leave(reply)
        self._send(reply, do.id)

    def _call(self, do: Do, began: float) -> Done | Failed:
        context = StepContext(
            store=self.open_store, guests=self._guests, params=do.params, inputs=do.inputs, actor=do.actor,
            because=do.because, run_id=do.id.run_id, step=do.id.step, attempt=do.id.attempt, fence=do.id.fence,
            tell=partial(self._tell, do.id),
            stopwatch=self._clock.inner if isinstance(self._clock.inner, VirtualClock) else self._clock.machine,
        )  # fmt: skip
        where = f"step {do.id.step}, {do.function}"
        try:
            outputs = _outputs(_function(do.function, where)(context), where)
        except TrimtabError as error:
            # A mistake of the user's needs no traceback: its four parts say what to do.
            print(f"{error.what}\n  where  {error.where}\n  why    {error.why}\n  next   {error.next}", file=sys.stderr)  # noqa: T201
            is_final = isinstance(error, Invalid | NotFound | Refused)
            return Failed(
                error=StepError.of(error), is_final=is_final, is_away=isinstance(error, StoreAway),
                seconds=self._since(began),
            )  # fmt: skip
        except GuestDied as died:
            # The runner judges a worker by how it ended: killed for its memory, say, it is tried again.
            end_like(died.status)
            raise
        except BaseException as error:  # noqa: BLE001  (the edge to the user's code, which may even raise SystemExit)
            own = error.__traceback__.tb_next if error.__traceback__ else None  # without this function's line
            traceback.print_exception(error.with_traceback(own))
            return Failed(error=_error_of(error, do, where), is_final=False, seconds=self._since(began))
        return Done(outputs=outputs, blobs=context.kept, seconds=self._since(began))

    def _since(self, began: float) -> float:
        return self._clock.machine.monotonic() - began

    def _tell(self, about: AttemptId, message: Said | Advanced) -> None:
        if isinstance(message, Advanced):
            now = self._clock.machine.monotonic()
            if now - self._advanced_at < PROGRESS_EVERY_S and message.done != message.total:
                return
            self._advanced_at = now
        self._send(message, about)

    def _send(self, message: FromWorker, about: AttemptId | None) -> None:
        if os.getpid() != self._pid:
            return  # a child that the body forked
        # The body may have threads, and each may report progress.
        with self._sending:
            self._channel.send(sent(message, about))


class StepClock:
    """The clock of the worker's store: shows what the clock of the current step shows."""

    def __init__(self) -> None:
        self.machine = SystemClock()
        self.inner: Clock = self.machine

    def now(self) -> datetime:
        return self.inner.now()

    def monotonic(self) -> float:
        return self.inner.monotonic()

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


def _clock_of(do: Do) -> Clock:
    match do.clock:
        case "system":
            return SystemClock()
        case "started":
            return StartedClock(datetime.fromisoformat(do.now))
        case "virtual":
            return VirtualClock(datetime.fromisoformat(do.now))


def _function(reference: str, where: str) -> Callable[[StepContext], Any]:
    module_name, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise _no_function(f"there is no module {error.name}", where) from None
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise _no_function(f"module {module_name} has no {name}", where) from None
    if not callable(found):
        raise _no_function(f"{reference} is a {type(found).__name__}, not a function", where)
    return found  # type: ignore[no-any-return]


def _no_function(what: str, where: str) -> Invalid:
    return Invalid(
        what,
        where=where,
        why="The worker imports the step's function by this name, from the folders that its runner imports from.",
        next="correct function='package.module:function' in the pipeline, and submit it again",
    )


def _outputs(value: object, where: str) -> msgspec.Raw:
    try:
        data = canonical({} if value is None else value)
        problem = "" if data.startswith(b"{") else f"the function returned a {type(value).__name__}, not a dict"
    except Invalid as error:
        data, problem = b"", error.what
    if problem:
        raise Invalid(
            problem,
            where=where,
            why="Outputs are kept as a JSON object, so that a later step and a later program can read them.",
            next="return a dict of texts, finite numbers, lists and dicts; frames go through context.put_frame(table)",
        )
    if len(data) > OUTPUTS_LIMIT_BYTES:
        raise Invalid(
            f"the outputs are {len(data):,} bytes of JSON, and may be {OUTPUTS_LIMIT_BYTES:,}",
            where=where,
            why="They lie in a row of the database and are read with every look at the run.",
            next="keep large values with context.put_bytes or context.put_frame and return the digest",
        )
    return msgspec.Raw(data)


def _error_of(error: BaseException, do: Do, where: str) -> StepError:
    kind = type(error).__name__
    # First line only: drivers put their SQL below it.
    message = (str(error).splitlines() or [""])[0][:500]
    return StepError(
        type=kind,
        code="pipelines.step-raised",
        what=f"{kind}: {message}" if message else kind,
        where=where,
        why="The step's own code raised it; the traceback is in the step's log.",
        next=f"trimtab logs {do.id.run_id} {do.id.step}",
    )


@contextlib.contextmanager
def _output_to(outlet: Outlet, log: str, *, limit: int) -> Iterator[None]:
    """Send what is printed to a log, and return when it lies there."""
    outlet.open(log, limit=limit)
    try:
        yield
    finally:
        _flush()
        outlet.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()


def _leave(reply: Done | Failed) -> NoReturn:
    """End a child that the body forked and that came back here: the step is its parent's."""
    _flush()
    os._exit(0 if isinstance(reply, Done) else 1)
