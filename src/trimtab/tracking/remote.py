"""Write runs to a server by URL, over one connection that is kept open."""

from typing import TypeVar

from trimtab.kernel import Clock, Ids, Remote, SystemClock
from trimtab.tracking.errors import RunNotRunning
from trimtab.tracking.records import Artifact, Batch, FinishRun, LoggedModel, Run, RunStatus, StartRun

T = TypeVar("T")


class ServerBackend:
    """Speaks the routes of ``trimtab.tracking.api``, all of which may be repeated. Safe to share between threads."""

    def __init__(self, server: Remote) -> None:
        self._server = server
        self.clock: Clock = SystemClock()
        self.ids = Ids(self.clock)

    def open(self, start: StartRun) -> Run:
        return self._server.send("POST", Run, "runs", body=start, repeat=True)

    def log(self, run_id: str, batch: Batch) -> None:
        self._of_run(run_id, dict, "log", body=batch)

    def resume(self, run_id: str) -> None:
        self._server.send("POST", dict, "runs", run_id, "resume", body={}, repeat=True)

    def put_artifact(self, run_id: str, name: str, data: bytes, *, media_type: str) -> Artifact:
        return self._of_run(run_id, Artifact, "artifacts", body=data, name=name, type=media_type)

    def put_model(self, run_id: str, model: LoggedModel) -> None:
        self._of_run(run_id, dict, "models", body=model)

    def finish(self, run_id: str, finish: FinishRun) -> Run:
        return self._of_run(run_id, Run, "finish", body=finish)

    def close(self) -> None:
        self._server.close()

    def again(self) -> "ServerBackend":
        return ServerBackend(self._server.again())

    def get(self, run_id: str) -> Run:
        """Return a run as the server has it."""
        return self._server.get(Run, "runs", run_id)

    def _of_run(self, run_id: str, kind: type[T], what: str, *, body: object, **query: str) -> T:
        try:
            found: T = self._server.send("POST", kind, "runs", run_id, what, body=body, repeat=True, **query)
            return found
        except RunNotRunning as ended:
            # An answer carries only the four parts; the recorder wants to know how it ended.
            ended.data |= {"run": run_id, "status": RunStatus(self.get(run_id).status)}
            raise
