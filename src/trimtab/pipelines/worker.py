"""The worker: a warm process that runs one step after the other. Its supervisor sees to it that it never outlives the
runner that started it.
"""

import contextlib
import importlib
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from io import TextIOWrapper
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

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
from trimtab.pipelines.context import StepContext
from trimtab.pipelines.protocol import Advanced, Do, Done, Failed, Hello, Ready, Said, Stale, receive_in_worker, send
from trimtab.pipelines.records import StepError
from trimtab.store import Store, open_store

OUTPUTS_LIMIT_BYTES = 1 << 20
PROGRESS_EVERY_S = 0.1


def main(socket: int) -> None:
    """Serve the runner at the other end of ``socket`` until it closes, or nothing was asked for long."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    connection = Connection(socket)
    with contextlib.suppress(EOFError, OSError):
        hello = receive_in_worker(connection)
        assert isinstance(hello, Hello)
        worker = Worker(connection, hello.settings)
        with contextlib.closing(worker):
            worker.serve(idle_s=hello.idle_s)


class Worker:
    """The child's side: imports, runs, reports."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._settings = settings
        self._clock = StepClock()
        self._store: Store | None = None
        self._born_s = SystemClock().now().timestamp()
        self._steps = 0
        self._advanced_at = -PROGRESS_EVERY_S

    def serve(self, *, idle_s: float) -> None:
        self._send(Ready())
        while self._connection.poll(idle_s):
            command = receive_in_worker(self._connection)
            assert isinstance(command, Do)
            if self._steps and _changed_since(self._born_s):
                self._send(Stale())
                return
            self._steps += 1
            self._do(command)

    def close(self) -> None:
        """Close the store, if a step opened it."""
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
            self.open_store().ids.reseed(int(digest_of([do.run_id, do.step, do.attempt])[7:23], 16))
        self._advanced_at = -PROGRESS_EVERY_S
        began = self._clock.machine.monotonic()
        with _output_to(Path(do.log)):
            reply = self._call(do, began)
        self._send(reply)

    def _call(self, do: Do, began: float) -> Done | Failed:
        context = StepContext(
            store=self.open_store, params=do.params, inputs=do.inputs, actor=do.actor, because=do.because,
            run_id=do.run_id, step=do.step, attempt=do.attempt, fence=do.fence, tell=self._tell,
            stopwatch=self._clock.inner if isinstance(self._clock.inner, VirtualClock) else self._clock.machine,
        )  # fmt: skip
        where = f"step {do.step}, {do.function}"
        try:
            outputs = _outputs(_function(do.function, where)(context), where)
        except TrimtabError as error:
            # A mistake of the user's needs no traceback: its four parts say what to do.
            print(f"{error.what}\n  where  {error.where}\n  why    {error.why}\n  next   {error.next}", file=sys.stderr)  # noqa: T201
            is_final = isinstance(error, Invalid | NotFound | Refused)
            return Failed(error=StepError.of(error), is_final=is_final, seconds=self._since(began))
        except BaseException as error:  # noqa: BLE001  (the edge to the user's code, which may even raise SystemExit)
            own = error.__traceback__.tb_next if error.__traceback__ else None  # without this function's line
            traceback.print_exception(error.with_traceback(own))
            return Failed(error=_error_of(error, do, where), is_final=False, seconds=self._since(began))
        return Done(outputs=outputs, blobs=context.kept, seconds=self._since(began))

    def _since(self, began: float) -> float:
        return self._clock.machine.monotonic() - began

    def _tell(self, message: Said | Advanced) -> None:
        if isinstance(message, Advanced):
            now = self._clock.machine.monotonic()
            if now - self._advanced_at < PROGRESS_EVERY_S and message.done != message.total:
                return
            self._advanced_at = now
        self._send(message)

    def _send(self, message: Ready | Stale | Said | Advanced | Done | Failed) -> None:
        # The body may have threads, and each may report progress.
        with self._sending:
            send(self._connection, message)


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
        next=f"trimtab logs {do.run_id} {do.step}",
    )


@contextlib.contextmanager
def _output_to(log: Path) -> Any:
    """Send file descriptors 1 and 2 to the log, so that what C code and child processes print lands there too."""
    log.parent.mkdir(parents=True, exist_ok=True)
    _redirect(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError):
                stream.flush()
        _redirect(os.open(os.devnull, os.O_WRONLY))


def _redirect(target: int) -> None:
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


def _changed_since(at_s: float) -> bool:
    """Say whether an imported file of the user's was written after ``at_s``: a warm process would run old code."""
    installed = tuple({*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix})
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and not file.startswith(installed):
            with contextlib.suppress(OSError):
                if os.stat(file).st_mtime > at_s:  # noqa: PTH116  (hundreds of files before every step)
                    return True
    return False
