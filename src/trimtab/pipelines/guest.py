"""Run the user's own code in a process of its own, behind walls: frames go in, frames and a few values come out.

A step's body is Trimtab's and has the store. What it needs of the user's (a source, a train function) it has done here:
by a warm process without keys, database or secrets, that is given its rows as open files and answers in one more.
"""

import contextlib
import importlib
import itertools
import mmap
import os
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import msgspec

from trimtab.kernel import (
    Conflict,
    Invalid,
    NotFound,
    Refused,
    Settings,
    SystemClock,
    TrimtabError,
    Unavailable,
    canonical,
)
from trimtab.pipelines import process, walls
from trimtab.pipelines.context import GuestDied
from trimtab.pipelines.reach import rules_of
from trimtab.pipelines.staleness import changed_since

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
_SCRATCH = "trimtab-guest-"
_ENDS_ITSELF_S = 0.2
"""How long a guest that is let go may take before it is killed."""
_KINDS: dict[str, type[TrimtabError]] = {
    kind.__name__: kind for kind in (NotFound, Conflict, Invalid, Refused, Unavailable, TrimtabError)
}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """To the guest: call ``function`` (``module:name``) with a ``GuestContext``. ``frames`` are sent as open files."""

    function: str
    params: dict[str, Any]
    frames: tuple[str, ...]


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the guest: what the function returned, and where in the file of answers each part lies (start, size)."""

    value: msgspec.Raw
    parts: dict[str, tuple[int, int]]


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the guest: the function raised. ``kind`` is one of the five kinds of ``TrimtabError``."""

    kind: str
    name: str
    code: str
    what: str
    where: str
    why: str
    next: str

    @classmethod
    def of(cls, error: TrimtabError) -> "Raised":
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _KINDS)
        return cls(kind=kind, name=type(error).__name__, **error.parts())

    def error(self) -> TrimtabError:
        """Return the error again, with its name and its code."""
        kind = type(self.name, (_KINDS.get(self.kind, TrimtabError),), {"code": self.code})
        error: TrimtabError = kind(self.what, where=self.where, why=self.why, next=self.next)
        return error


class Stale(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the guest: files that it imported have changed since, so another must do this."""


Answer = Returned | Raised | Stale
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class GuestAnswer:
    """What a call has given: a record, and parts as bytes or as frames, which lie in a mapped file."""

    def __init__(self, returned: Returned, data: memoryview) -> None:
        self._value = returned.value
        self._parts = returned.parts
        self._data = data

    def read(self, kind: type[T]) -> T:
        """Return what the function returned, as the record that it must be. Raises ``Invalid`` when it is none."""
        try:
            return msgspec.json.decode(self._value, type=kind)
        except msgspec.ValidationError as error:
            raise self._malformed("answer", error) from None

    def bytes(self, name: str) -> bytes:
        """Return a part of the answer."""
        return bytes(self._part(name))

    def frame(self, name: str) -> "pa.Table":
        """Return a frame that the guest has written, held to its own format: whoever wrote it is not trusted."""
        import pyarrow as pa

        try:
            table = pa.ipc.open_file(pa.py_buffer(self._part(name))).read_all()
            table.validate(full=True)
        except pa.ArrowException as error:
            raise self._malformed(f"frame {name!r}", error) from None
        return table

    def _part(self, name: str) -> memoryview:
        start, size = self._parts.get(name, (0, -1))
        if not 0 <= start <= start + size <= len(self._data):
            raise self._malformed(f"part {name!r}", ValueError("it is not there"))
        return self._data[start : start + size]

    def _malformed(self, what: str, error: Exception) -> Invalid:
        return Invalid(
            f"the {what} of the user's code is malformed",
            where="pipelines.guest",
            why=f"It cannot be read: {str(error).splitlines()[0][:200]}.",
            next="see what the code does to the process that it runs in",
        )


class Guests:
    """The warm guest of one worker: begun for a project at its first call, and anew when what it may read changes."""

    def __init__(self, settings: Settings, nursery: "Nursery") -> None:
        self._settings = settings
        self._nursery = nursery
        self._guest: _Guest | None = None

    def call(
        self, function: str, *, project: Path, params: Mapping[str, Any], frames: Mapping[str, Path] | None = None,
        reads: tuple[Path, ...] = (),
    ) -> GuestAnswer:  # fmt: skip
        """Call a function behind the walls and return its answer.

        ``project`` is the user's file, whose folder may be read but for what Trimtab keeps in it; ``reads`` are files
        besides. Raises what the function raises of ``TrimtabError``, and ``GuestDied``.
        """
        call = Call(function=function, params=dict(params), frames=tuple(frames or ()))
        while True:
            answer, data = self._guest_for(project, reads).call(call, list((frames or {}).values()))
            match answer:
                case Returned():
                    return GuestAnswer(answer, data)
                case Raised():
                    raise answer.error()
                case Stale():
                    self._end()

    def close(self) -> None:
        """End the guest, if there is one."""
        self._end()
        self._nursery.close()

    def _end(self) -> None:
        if self._guest is not None:
            self._guest.close()
            self._guest = None

    def _guest_for(self, project: Path, reads: tuple[Path, ...]) -> "_Guest":
        rules = rules_of(self._settings, project=project, reads=reads)
        # A file that was put in the place of another is another one, which no rule of before names.
        open_to = {(path, *_identity(path)) for path in rules.read}
        if self._guest is not None and not (open_to <= self._guest.open_to and project == self._guest.project):
            self._end()
        if self._guest is None:
            self._guest = _Guest(self._nursery, project, rules, open_to)
        return self._guest


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  (for each call, a few dozen)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


class _Guest:
    """The worker's side of one guest. ``open_to`` is what it may read: paths with what lay there at its beginning."""

    def __init__(
        self, nursery: "Nursery", project: Path, rules: walls.Rules, open_to: set[tuple[str, int, int]]
    ) -> None:
        self.project, self.open_to = project, open_to
        self._nursery = nursery
        _sweep()
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-{process.started(os.getpid())}-"))
        if rules.user is not None:
            os.chown(self._scratch, *rules.user)
        self._socket, theirs = socket.socketpair()
        with theirs:
            inside = replace(rules, write=(*rules.write, str(self._scratch)))
            nursery.begin(theirs, Birth(rules=inside, scratch=str(self._scratch)))
        self._connection = Connection(os.dup(self._socket.fileno()))

    def call(self, call: Call, frames: list[Path]) -> tuple[Answer, memoryview]:
        """Have the guest do a call, its output in this process's own. Raises ``GuestDied``."""
        with contextlib.ExitStack() as stack, tempfile.TemporaryFile() as answers:
            files = [stack.enter_context(path.open("rb")).fileno() for path in frames]
            try:
                socket.send_fds(self._socket, [b"!"], [1, answers.fileno(), *files])
                self._connection.send_bytes(msgspec.json.encode(call))
                answer = _answers.decode(self._connection.recv_bytes())
            except (EOFError, OSError, msgspec.DecodeError):
                raise GuestDied(self.close()) from None
            size = os.fstat(answers.fileno()).st_size
            return answer, memoryview(mmap.mmap(answers.fileno(), size, prot=mmap.PROT_READ) if size else b"")

    def close(self) -> int:
        """End the process, unless it has by itself, remove what it left, and return how it ended (as ``waitpid``)."""
        self._connection.close()
        self._socket.close()
        status = self._nursery.end()
        shutil.rmtree(self._scratch, ignore_errors=True)
        return status


def _sweep() -> None:
    """Remove the scratch folders of workers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        pid, _, since = folder.name.removeprefix(_SCRATCH).rpartition("-")[0].partition("-")
        if pid.isdecimal() and not process.is_alive(int(pid), since):
            shutil.rmtree(folder, ignore_errors=True)


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """To the nursery: begin a guest with these rules; ``scratch`` is the folder that it may write to."""

    rules: walls.Rules
    scratch: str


class Nursery:
    """A process forked from the worker before it knew a secret, which forks its guests: warm, and clean."""

    def __init__(self, plug: socket.socket) -> None:
        self._plug = plug
        self._connection = Connection(os.dup(plug.fileno()))
        self._guest = 0

    @classmethod
    def opened(cls) -> "Nursery":
        """Fork it. What this process knows and has open at this moment, guests know and have."""
        ours, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if os.fork():
            theirs.close()
            return cls(ours)
        try:
            kept = theirs.detach()
            os.closerange(3, kept)
            os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
            _tend(socket.socket(fileno=kept))
        finally:
            os._exit(0)

    def begin(self, plug: socket.socket, birth: Birth) -> None:
        """Begin a guest at the other end of a socket. Raises ``GuestDied`` when there is no nursery any more."""
        try:
            socket.send_fds(self._plug, [b"!"], [plug.fileno()])
            self._connection.send_bytes(msgspec.json.encode(birth))
            self._guest = msgspec.json.decode(self._connection.recv_bytes(), type=int)
        except (EOFError, OSError):
            raise GuestDied(1 << 8) from None

    def end(self) -> int:
        """End the guest, and return how it ended (as ``waitpid``)."""
        if not self._connection.poll(_ENDS_ITSELF_S):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._guest, signal.SIGKILL)
        try:
            return msgspec.json.decode(self._connection.recv_bytes(), type=int)
        except (EOFError, OSError):
            return 1 << 8

    def close(self) -> None:
        """Let it end."""
        self._connection.close()
        self._plug.close()


def _tend(plug: socket.socket) -> None:
    """Begin one guest after the other, as the worker asks, and tell how each has ended."""
    connection = Connection(os.dup(plug.fileno()))
    with contextlib.suppress(EOFError, OSError):
        while files := socket.recv_fds(plug, 1, 1)[1]:
            birth = msgspec.json.decode(connection.recv_bytes(), type=Birth)
            pid = os.fork()
            if not pid:
                try:
                    connection.close()
                    plug.close()
                    _live(files[0], birth)
                except BaseException:  # noqa: BLE001  (the edge of the process)
                    traceback.print_exc()
                finally:
                    os._exit(1)
            os.close(files[0])
            connection.send_bytes(msgspec.json.encode(pid))
            connection.send_bytes(msgspec.json.encode(os.waitpid(pid, 0)[1]))


# --- behind the walls ------------------------------------------------------------------------------------------------


class GuestContext:
    """What a function behind the walls is given: its params and frames, and where its answer goes."""

    def __init__(self, params: Mapping[str, Any], frames: Mapping[str, int], answers: int) -> None:
        self.params = params
        self._frames = frames
        self._answers = os.fdopen(answers, "wb")
        self.parts: dict[str, tuple[int, int]] = {}

    def frame(self, name: str) -> "pa.Table":
        """Return a frame that came with the call; its columns lie in the mapped file."""
        import pyarrow as pa

        mapped = mmap.mmap(self._frames[name], 0, prot=mmap.PROT_READ)
        return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()

    def put_bytes(self, name: str, data: bytes) -> None:
        """Add bytes to the answer."""
        start = self._answers.tell()
        self._answers.write(data)
        self.parts[name] = (start, len(data))

    def put_frame(self, name: str, table: "pa.Table") -> None:
        """Add a frame to the answer."""
        import pyarrow as pa

        start = self._answers.tell()
        # Not by way of memory: touching so much of it for the first time takes longer than all the rest.
        with pa.PythonFile(_Within(self._answers), "w") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self.parts[name] = (start, self._answers.tell() - start)

    def close(self) -> None:
        self._answers.close()


class _Within:
    """A file within a file, being written: positions in it count from its own beginning."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()
        self.write = file.write

    def tell(self) -> int:
        return self._file.tell() - self._start

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Leave the file open for what comes after."""


def _live(plug_fd: int, birth: Birth) -> None:
    """Go behind the walls, and do calls until the worker closes the connection."""
    born_s = SystemClock().now().timestamp()
    os.environ.update(HOME=birth.scratch, TMPDIR=birth.scratch)
    tempfile.tempdir = None
    walls.enter(birth.rules)
    closed = _closed_to_this_user()
    plug = socket.socket(fileno=plug_fd)
    connection = Connection(os.dup(plug_fd))
    with contextlib.suppress(EOFError, OSError):
        for number in itertools.count():
            _data, files, _flags, _address = socket.recv_fds(plug, 1, 64)
            if not files:
                os._exit(0)
            call = msgspec.json.decode(connection.recv_bytes(), type=Call)
            is_stale = number > 0 and changed_since(born_s)
            connection.send_bytes(msgspec.json.encode(Stale() if is_stale else closed or _done(call, files)))


def _closed_to_this_user() -> Raised | None:
    """Say so where the user who runs own code may not read Python, Trimtab or its libraries."""
    for file in (os.__file__, __file__, msgspec.__file__):
        if not os.access(file, os.R_OK):
            error = Invalid(
                f"user code cannot run as user {os.getuid()}",
                where="setting guest_user",
                why=f"This user may not read {file}.",
                next="install Python and Trimtab where every user may read them, as in /opt/trimtab, "
                "or leave guest_user out",
            )
            return Raised.of(error)
    return None


def _done(call: Call, files: list[int]) -> Answer:
    output, answers, *frames = files
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    context = GuestContext(call.params, dict(zip(call.frames, frames, strict=True)), answers)
    try:
        module, _, name = call.function.partition(":")
        value = canonical(getattr(importlib.import_module(module), name)(context))
        context.close()
        return Returned(value=msgspec.Raw(value), parts=context.parts)
    except TrimtabError as error:
        return Raised.of(error)
    except BaseException as error:  # noqa: BLE001  (the edge to the user's code, which may even raise SystemExit)
        traceback.print_exc()
        return Raised(
            kind="TrimtabError", name=type(error).__name__, code="pipelines.step-raised",
            what=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:500]}", where=call.function,
            why="The code that the step runs raised it; the traceback is in the step's log.",
            next="trimtab logs, with the run and the step",
        )  # fmt: skip
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError):
                stream.flush()
        with contextlib.suppress(OSError):
            context.close()
        for file in frames:
            os.close(file)
