"""What a step's function is given: params, outputs of the steps it needs, the store, and ways to say how far it is."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trimtab.kernel import Actor, Clock, SystemClock
from trimtab.pipelines import frames
from trimtab.pipelines.protocol import Advanced, Said
from trimtab.store import Store

if TYPE_CHECKING:
    import pyarrow as pa


def _silent(_message: Said | Advanced) -> None:
    return None


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
        self._tell = tell
        self._kept: dict[str, None] = {}

    @property
    def store(self) -> Store:
        """Return the store, opened at its first use in this process."""
        return self._store if isinstance(self._store, Store) else self._store()

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
        self._tell(Said(text=text))

    def progress(self, done: float, total: float | None = None, unit: str = "") -> None:
        """Say that ``done`` of ``total`` units are done; as often as you like, it is thinned out."""
        self._tell(Advanced(done=done, total=total, unit=unit))

    def _keep(self, digest: str) -> str:
        self._kept[digest] = None
        return digest
