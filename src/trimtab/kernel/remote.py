"""Ask a running server over HTTP, over one connection that is kept open. Standard library only.

What the server refuses is raised here as the error that it is there, with the same four parts.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec

from trimtab.kernel.errors import Conflict, Invalid, NotFound, Refused, TrimtabError, Unavailable, error_named

TIMEOUT_S = 30.0
TRIES = 3
_API = "/api/v1"
_PIECE_BYTES = 1 << 20
_NO_PAGE = "server.no-such-path"
_BY_STATUS: dict[int, type[TrimtabError]] = {401: Refused, 403: Refused, 404: NotFound, 409: Conflict, 503: Unavailable}
_SIGN_IN = "set TRIMTAB_TOKEN to a token that holds; an administrator makes one: trimtab token create NAME"
T = TypeVar("T")


class ServerUnreachable(Unavailable):
    """Nothing answers where the settings say that a server is."""

    code = "server-unreachable"
    default_why = "TRIMTAB_SERVER names it, so it is asked instead of a store in this folder."
    default_next = "start it: trimtab up, or correct or unset TRIMTAB_SERVER"


class _Failure(msgspec.Struct):
    """An error as the server answers it."""

    code: str = ""
    what: str = ""
    where: str = ""
    why: str = ""
    next: str = ""


class Memory(Protocol):
    """What a client keeps of the ledger of a server that it has worked with, in this process and in earlier ones."""

    def given(self) -> str:
        """Return the newest signed checkpoint that the server gave, which it is shown with each question."""
        ...

    def keep(self, note: str, *, key: str, shown: str = "") -> None:
        """Keep a checkpoint that came with an answer, where the server had been ``shown`` another one before."""
        ...


class Remote:
    """A server and the token that it is asked with. Safe to share between threads; one request at a time.

    A path is given in its parts below ``/api/v1``; a query leaves out what is None. What only reads is sent again when
    the connection has died; what changes something is not, unless ``repeat`` says that it may be.
    """

    def __init__(self, url: str, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(
                f"{url[:80]!r} is not the address of a server",
                where="setting server",
                why="A server has an http or https address.",
                next="set TRIMTAB_SERVER=http://127.0.0.1:8400, or unset it to work with the store of this folder",
            )
        self._given = (url, token, timeout_s)
        self.memory: Memory | None = None
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self.shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        """The address without what may be secret in it."""
        self._root = parts.path.rstrip("/")
        self.place = self.shown + self._root
        """What tells this server from others."""
        self._headers = {"Accept": "application/json", "User-Agent": "trimtab"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def again(self, *, timeout_s: float | None = None) -> "Remote":
        """Return another connection to the same server, for a process of its own, or one that waits for longer."""
        url, token, given_s = self._given
        another = Remote(url, token=token, timeout_s=timeout_s or given_s)
        another.memory = self.memory
        return another

    def get(self, kind: type[T], *path: object, **query: object) -> T:
        """Read something; return it as a record of ``kind``."""
        return self._decoded(self._exchange("GET", _api(path, query), None, {}, repeat=True)[0], kind)

    def listed(
        self, kind: Any, *path: object, limit: int | None, page: int, cursor: str | None = None, **query: object
    ) -> tuple[list[Any], str | None]:
        """Read the items of a listing, page by page, at most ``limit`` (None: all), and where it would go on."""
        found: list[Any] = []
        while limit is None or len(found) < limit:
            size = page if limit is None else min(page, limit - len(found))
            part: Any = self.get(kind, *path, **query, limit=size, cursor=cursor)
            found += part.items
            cursor = part.next
            if cursor is None:
                break
        return found, cursor

    def fetch(self, *path: object, **query: object) -> tuple[bytes, Mapping[str, str]]:
        """Read bytes; return them with the answer's headers, whose names are in small letters."""
        return self._exchange("GET", _api(path, query), None, {}, repeat=True)

    def download(self, to: Path, *path: object, **query: object) -> None:
        """Read bytes of any length into a file."""
        with self._lock:
            answer = self._sent("GET", _api(path, query), None, {})
            try:
                if answer.status >= http.client.MULTIPLE_CHOICES:
                    raise self._problem(answer.status, self._read(answer))
                with to.open("wb") as file:
                    while piece := self._read(answer, _PIECE_BYTES):
                        file.write(piece)
            finally:
                if not answer.isclosed():  # what was not read would be taken for the next answer
                    self._hang_up()

    def send(
        self, method: str, kind: type[T], *path: object, body: object = None, because: str = "",
        repeat: bool = False, **query: object,
    ) -> T:  # fmt: skip
        """Change something; return the answer as a record of ``kind``. ``body`` is bytes, or goes as JSON."""
        return self.send_to(_api(path, query), kind, method=method, body=body, because=because, repeat=repeat)

    def send_to(
        self, address: str, kind: type[T], *, method: str = "POST", body: object = None, because: str = "",
        repeat: bool = False,
    ) -> T:  # fmt: skip
        """Do the same at any path of the server, given as it stands in an address."""
        raw = isinstance(body, bytes)
        data = cast("bytes | None", body) if raw or body is None else msgspec.json.encode(body)
        headers = {} if data is None else {"Content-Type": "application/octet-stream" if raw else "application/json"}
        if because:
            headers["Trimtab-Because"] = quote(because, safe=" ")
        return self._decoded(self._exchange(method, address, data, headers, repeat=repeat)[0], kind)

    def close(self) -> None:
        with self._lock:
            self._hang_up()

    def _decoded(self, data: bytes, kind: type[T]) -> T:
        try:
            return cast(T, msgspec.json.decode(data, type=kind) if data else None)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._not_ours("something else than was asked for") from None

    def _exchange(
        self, method: str, address: str, data: bytes | None, headers: Mapping[str, str], *, repeat: bool
    ) -> tuple[bytes, Mapping[str, str]]:
        shown = self.memory.given() if self.memory and address.startswith(_API) else ""
        headers = {**headers, "Trimtab-Checkpoint": quote(shown)} if shown else headers
        for left in reversed(range(TRIES if repeat else 1)):
            try:
                with self._lock:
                    answer = self._sent(method, address, data, headers)
                    body = self._read(answer)
            except ServerUnreachable:
                if not left:
                    raise
                time.sleep(0.05 * (TRIES - left - 1))
            else:
                if answer.status >= http.client.MULTIPLE_CHOICES:
                    raise self._problem(answer.status, body)
                found = {name.lower(): value for name, value in answer.getheaders()}
                if self.memory and (note := unquote(found.get("trimtab-checkpoint", ""))):
                    self.memory.keep(note, key=unquote(found.get("trimtab-key", "")), shown=shown)
                return body, found
        raise AssertionError

    def _sent(
        self, method: str, address: str, data: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        try:
            if self._connection is None:
                self._connection = self._dial()
            self._connection.request(method, self._root + address, body=data, headers={**self._headers, **headers})
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error

    def _read(self, answer: http.client.HTTPResponse, most: int | None = None) -> bytes:
        try:
            return answer.read(most)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> ServerUnreachable:
        self._hang_up()
        return ServerUnreachable(
            f"the server at {self.shown} does not answer ({type(error).__name__})", where="setting server"
        )

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

    def _problem(self, status: int, data: bytes) -> TrimtabError:
        try:
            failure = msgspec.json.decode(data, type=_Failure)
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = _Failure()
        if not (failure.what and failure.where and failure.why and failure.next):
            return self._not_ours(f"status {status}")
        if failure.code == _NO_PAGE:
            return self._not_ours("that it does not know what was asked for")
        kind = error_named(failure.code) or _BY_STATUS.get(status, Unavailable if status >= 500 else Invalid)
        next_ = _SIGN_IN if status == http.client.UNAUTHORIZED else failure.next
        return kind(failure.what, where=failure.where, why=failure.why, next=next_)

    def _not_ours(self, what: str) -> Unavailable:
        return Unavailable(
            f"the server at {self.shown} answered {what}",
            where="setting server",
            why="It is no Trimtab, another version of it, or something stands between.",
            next="compare 'trimtab --version' there and here, and correct TRIMTAB_SERVER",
        )


def _api(path: tuple[object, ...], query: Mapping[str, object]) -> str:
    parts = "/".join(quote(str(part), safe="") for part in path)
    given = {name: _text(value) for name, value in query.items() if value is not None}
    return f"{_API}/{parts}" + (f"?{urlencode(given)}" if given else "")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
