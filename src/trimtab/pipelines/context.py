"""What a step's function is given: params, outputs of the steps it needs, the store, and ways to say how far it is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.kernel import Actor, Clock, SystemClock
from trimtab.pipelines import frames
from trimtab.pipelines.protocol import Advanced, Said
from trimtab.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from trimtab.pipelines.guest import GuestAnswer, Guests


LONGEST_SAID = 4096


def _silent(_message: Said | Advanced) -> None:
    return None


class GuestDied(Exception):
    """The process of the user's code ended in the middle of a call, with this status of ``waitpid``."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process of the user's code ended with status {status}")
        self.status = status


class StepContext:
    """The world of one attempt. A step's function takes it as its only argument and returns a dict that JSON can hold.

    ``params`` are those that the step may see, ``inputs[step]`` the outputs of the steps that it needs. ``store`` is
    this process's own. ``stopwatch`` measures durations; in a replay, which nothing must make differ, it stands still.
    ``actor`` and ``because`` are the run's: pass them to ``store.change``. ``fence`` grows with
    every start, so a system outside can refuse an attempt that was overtaken. In a test a context may be made by hand.
    """

    def __init__(
        self,
        *,
        store: Store | Callable[[], Store],
        guests: "Guests | None" = None,
        params: Mapping[str, Any] | None = None,
        inputs: Mapping[str, dict[str, Any]] | None = None,
        actor: Actor,
        because: str = "",
        run_id: str = "",
        step: str = "",
        attempt: int = 1,
        fence: int = 1,
        tell: Callable[[Said | Advanced], None] = _silent,
        stopwatch: Clock | None = None,
    ) -> None:
        self.params = dict(params or {})
        self.inputs = dict(inputs or {})
        self.actor = actor
        self.because = because
        self.run_id = run_id
        self.step = step
        self.attempt = attempt
        self.fence = fence
        self.stopwatch = stopwatch or SystemClock()
        self._store = store
        self._guests = guests
        self._tell = tell
        self._kept: dict[str, None] = {}

    @property
    def store(self) -> Store:
        """Return the store, opened at its first use in this process."""
        return self._store if isinstance(self._store, Store) else self._store()

    def call_guest(
        self, function: str, *, project: Path, params: Mapping[str, Any], frames: Mapping[str, str] | None = None,
        reads: tuple[Path, ...] = (),
    ) -> "GuestAnswer":  # fmt: skip
        """Have ``function`` (``module:name``), which runs the code of the user's file ``project``, done behind walls.

        It is called with a ``GuestContext`` that has ``params`` and the frames under these digests, and may read
        ``reads`` besides the project's folder. Raises what it raises.
        """
        assert self._guests is not None, "only a worker has a guest"
        paths = {name: self.store.blobs.local_path(digest) for name, digest in (frames or {}).items()}
        return self._guests.call(function, project=project, params=params, frames=paths, reads=reads)

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the digests of what this attempt kept, in order."""
        return tuple(self._kept)

    def put_frame(self, table: "pa.Table") -> str:
        """Keep an Arrow table for later steps and return its digest, to be passed on in the outputs."""
        return self._keep(frames.put_frame(self.store.blobs, table))

    def frame(self, digest: str) -> "pa.Table":
        """Return the Arrow table under a digest, mapped into memory."""
        return frames.read_frame(self.store.blobs, digest)

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes and return their digest."""
        return self._keep(self.store.blobs.put(data))

    def get_bytes(self, digest: str) -> bytes:
        """Return the bytes under a digest."""
        return self.store.blobs.get(digest)

    def log(self, text: str) -> None:
        """Write a line to the step's log, and tell whoever watches the run."""
        print(text, flush=True)  # noqa: T201  (the worker's standard output is the step's log)
        self._tell(Said(text=str(text)[:LONGEST_SAID]))

    def progress(self, done: float, total: float | None = None, unit: str = "") -> None:
        """Say that ``done`` of ``total`` units are done; as often as you like, it is thinned out."""
        self._tell(Advanced(done=float(done), total=None if total is None else float(total), unit=str(unit)))

    def _keep(self, digest: str) -> str:
        self._kept[digest] = None
        return digest
