"""Where a recorder writes: straight to a store, or to a server that has one. Both understand the same words."""

from typing import Protocol

from trimtab.kernel import Actor, Clock, Ids
from trimtab.store import Store, open_store
from trimtab.tracking import journal, runs
from trimtab.tracking.records import Artifact, Batch, FinishRun, LoggedModel, Run, StartRun


class Backend(Protocol):
    """What a recorder needs. Every method may be tried again after ``Unavailable``: it counts once."""

    @property
    def clock(self) -> Clock: ...

    @property
    def ids(self) -> Ids: ...

    def open(self, start: StartRun) -> Run: ...

    def log(self, run_id: str, batch: Batch) -> None: ...

    def resume(self, run_id: str) -> None: ...

    def put_artifact(self, run_id: str, name: str, data: bytes, *, media_type: str) -> Artifact: ...

    def put_model(self, run_id: str, model: LoggedModel) -> None: ...

    def finish(self, run_id: str, finish: FinishRun) -> Run: ...

    def close(self) -> None: ...

    def again(self) -> "Backend":
        """Open the same once more, for a forked process: it must not share the connections of the one before."""
        ...


class StoreBackend:
    """Writes to a store in this process. ``owned``: the store was opened for this, and is closed with it."""

    def __init__(self, store: Store, actor: Actor, *, owned: bool = False) -> None:
        self._store = store
        self._actor = actor
        self._owned = owned
        self.clock = store.clock
        self.ids = store.ids

    def open(self, start: StartRun) -> Run:
        return runs.open_run(self._store, start, actor=self._actor)

    def log(self, run_id: str, batch: Batch) -> None:
        journal.log_batch(self._store, run_id, batch)

    def resume(self, run_id: str) -> None:
        because = "its process was taken for gone, and writes on"
        runs.resume_run(self._store, run_id, actor=self._actor, because=because)

    def put_artifact(self, run_id: str, name: str, data: bytes, *, media_type: str) -> Artifact:
        return journal.log_artifact(self._store, run_id, name, data, media_type=media_type)

    def put_model(self, run_id: str, model: LoggedModel) -> None:
        journal.log_model(self._store, run_id, model)

    def finish(self, run_id: str, finish: FinishRun) -> Run:
        return runs.close_run(self._store, run_id, finish, actor=self._actor)

    def close(self) -> None:
        if self._owned:
            self._store.close()

    def again(self) -> "StoreBackend":
        store = open_store(self._store.settings, clock=self._store.clock)
        return StoreBackend(store, self._actor, owned=True)
