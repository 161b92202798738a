"""Write runs to a server by URL, over one connection that is kept open. Standard library only."""

import http.client
import socket
import ssl
import threading
import time
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from trimtab.kernel import (
    Clock,
    Conflict,
    Ids,
    Invalid,
    NotFound,
    Refused,
    SystemClock,
    TrimtabError,
    Unavailable,
)
from trimtab.tracking.errors import (
    BadName,
    ExperimentMissing,
    NotPackable,
    ParamChanged,
    RunMissing,
    RunNotRunning,
    ServerUnreachable,
)
from trimtab.tracking.records import Artifact, Batch, FinishRun, LoggedModel, Run, RunStatus, StartRun

TIMEOUT_S = 30.0
TRIES = 3
T = TypeVar("T")

_KINDS: dict[str, type[TrimtabError]] = {
    kind.code: kind for kind in (BadName, ExperimentMissing, NotPackable, ParamChanged, RunMissing, RunNotRunning)
}
_BY_STATUS: dict[int, type[TrimtabError]] = {401: Refused, 403: Refused, 404: NotFound, 409: Conflict, 413: Invalid}


class _Failure(msgspec.Struct):
    """An error as the server answers it."""

    code: str = ""
    what: str = ""
    where: str = ""
    why: str = ""
    next: str = ""


class ServerBackend:
    """Speaks the routes of ``trimtab.tracking.api``. Safe to share between threads; one request at a time."""

    def __init__(self, url: str, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(
                f"{url[:80]!r} is not the address of a server",
                where="setting server",
                why="Runs go to an http or https address.",
                next="set TRIMTAB_SERVER=http://127.0.0.1:8400, or unset it to write to the store directly",
            )
        self._url, self._token = url, token
        self.clock: Clock = SystemClock()
        self.ids = Ids(self.clock)
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._prefix = parts.path.rstrip("/") + "/api/v1"
        self._headers = {"Accept": "application/json", "User-Agent": "trimtab"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def open(self, start: StartRun) -> Run:
        return self._ask("POST", "/runs", start, Run)

    def log(self, run_id: str, batch: Batch) -> None:
        self._of_run(run_id, "POST", "/log", batch, Any)

    def resume(self, run_id: str) -> None:
        self._ask("POST", f"/runs/{run_id}/resume", {}, Any)

    def put_artifact(self, run_id: str, name: str, data: bytes, *, media_type: str) -> Artifact:
        query = urlencode({"name": name, "type": media_type})
        return self._of_run(run_id, "POST", f"/artifacts?{query}", data, Artifact)

    def put_model(self, run_id: str, model: LoggedModel) -> None:
        self._of_run(run_id, "POST", "/models", model, Any)

    def finish(self, run_id: str, finish: FinishRun) -> Run:
        return self._of_run(run_id, "POST", "/finish", finish, Run)

    def close(self) -> None:
        with self._lock:
            self._hang_up()

    def again(self) -> "ServerBackend":
        return ServerBackend(self._url, token=self._token, timeout_s=self._timeout_s)

    def get(self, run_id: str) -> Run:
        """Return a run as the server has it."""
        return self._ask("GET", f"/runs/{quote(run_id, safe='')}", None, Run)

    def _of_run(self, run_id: str, method: str, path: str, body: Any, kind: type[T] | Any) -> T:
        try:
            found: T = self._ask(method, f"/runs/{run_id}{path}", body, kind)
            return found
        except RunNotRunning as ended:
            # An answer carries only the four parts; the recorder wants to know how it ended.
            ended.data |= {"run": run_id, "status": RunStatus(self.get(run_id).status)}
            raise

    def _ask(self, method: str, path: str, body: Any, kind: type[T] | Any) -> T:
        raw = isinstance(body, bytes)
        data = body if raw or body is None else msgspec.json.encode(body)
        headers = dict(self._headers)
        if data is not None:
            headers["Content-Type"] = "application/octet-stream" if raw else "application/json"
        status, answer = self._exchange(method, self._prefix + path, data, headers)
        if status >= 400:
            raise self._problem(status, answer)
        return cast(T, msgspec.json.decode(answer, type=kind) if answer else None)

    def _exchange(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request, again over a new connection when the old one has died. Every request may be repeated."""
        with self._lock:
            for attempt in range(TRIES):
                try:
                    if self._connection is None:
                        self._connection = self._dial()
                    self._connection.request(method, path, body=data, headers=headers)
                    response = self._connection.getresponse()
                    return response.status, response.read()
                except (OSError, http.client.HTTPException) as error:
                    self._hang_up()
                    if attempt == TRIES - 1:
                        raise ServerUnreachable(
                            f"the server at {self._shown} does not answer ({type(error).__name__})",
                            where="setting server",
                        ) from error
                    time.sleep(0.05 * attempt)
        raise AssertionError

    def _dial(self) -> http.client.HTTPConnection:
        if self._https:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=context)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        connection.connect()
        # A small request must not wait for the answer to the one before.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _problem(self, status: int, answer: bytes) -> TrimtabError:
        try:
            failure = msgspec.json.decode(answer, type=_Failure)
        except msgspec.DecodeError:
            failure = _Failure()
        kind = _KINDS.get(failure.code) or _BY_STATUS.get(status, Unavailable if status >= 500 else Invalid)
        return kind(
            failure.what or f"the server at {self._shown} answered with status {status}",
            where=failure.where or "setting server",
            why=failure.why or "It is no Trimtab, or something stands between.",
            next=failure.next or "open the address in a browser, and correct TRIMTAB_SERVER",
        )
