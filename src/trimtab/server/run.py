"""Serve one project from one process until it is told to stop."""

import logging
import logging.handlers
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvicorn
from starlette.applications import Starlette

from trimtab.kernel import Clock, Permission, Refused, Settings, this_user
from trimtab.server.api import Live, described, routes
from trimtab.server.app import create_app
from trimtab.server.doors import LOOPBACK_NAMES, Doors, is_loopback
from trimtab.server.errors import NotReachable
from trimtab.server.faces import faces_of
from trimtab.server.records import Access
from trimtab.server.rooms import Rooms
from trimtab.server.tokens import has_active_token
from trimtab.store import Store, open_store

GRACE_S = 10
"""How long requests in progress may take to finish when the server stops."""
PROBE_S = 2.0
"""How long a server may take to answer when somebody asks whether it is there."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running server can be found; the file ``server.json`` in the home says so while it runs."""

    url: str
    pid: int


class NeedsToken(Refused):
    """A server that others can reach would answer to anyone."""

    code = "server.needs-token"
    default_why = "Other machines can reach {host}, and there is no API token that would tell who calls."
    default_next = "trimtab token create NAME --scope admin, then start again; or leave host at 127.0.0.1"


def serve(settings: Settings, *, clock: Clock | None = None, on_ready: Callable[[Address], None]) -> None:
    """Open the project that the settings name and serve it until SIGINT or SIGTERM.

    ``on_ready`` is called with the address when requests are answered. Raises ``NeedsToken`` for an address that other
    machines can reach while no token is active, and ``NotReachable`` when the address is taken.
    """
    store = open_store(settings, clock=clock)
    try:
        doors = doors_of(store, settings)
        listener = _listen(settings.host, settings.port)
        with listener, _logging_to(settings.home_path / "logs" / "server.log"):
            _serve(store, doors, listener, on_ready)
    finally:
        store.close()


def doors_of(store: Store, settings: Settings) -> Doors:
    """Decide who may come in, from where the server listens. Raises ``NeedsToken``."""
    names = frozenset(name.strip().lower() for name in settings.hosts.split(",") if name.strip())
    reachable = not is_loopback(settings.host) or bool(names)
    if reachable and not has_active_token(store):
        raise NeedsToken(
            "the server would be open to everyone",
            where=f"host {settings.host}",
            host=settings.host if not is_loopback(settings.host) else settings.hosts,
        )
    # Far callers show a token that no page of another site can know, so any name is good unless names were given.
    hosts = frozenset() if reachable and not names else names | frozenset(LOOPBACK_NAMES)
    local = None if reachable else Access(actor=this_user(), permission=Permission.ADMIN)
    return Doors(store=store, clock=store.clock, hosts=hosts, local=local)


def application(store: Store, doors: Doors, *, rooms: Rooms, live: Live) -> Starlette:
    """Return the whole application over an opened store: the rooms, the protocols of others, the pages."""
    own = routes(rooms.store, doors, missing=rooms.missing, live=live)
    all_routes = [*rooms.routes(), *own]
    all_routes.append(described(all_routes))
    faces = faces_of(rooms, doors, all_routes)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await rooms.start()
        try:
            yield
        finally:
            live.stopping = True
            await rooms.stop()

    return create_app(all_routes, doors=doors, ids=store.ids, lifespan=lifespan, faces=faces)


def running_server(settings: Settings) -> Address | None:
    """Return the server that serves this home, or None when there is none."""
    address = _address_in(_address_file(settings))
    if address is None:
        return None
    try:
        os.kill(address.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it runs, as another user
    return address if _answers(address) else None


def _answers(address: Address) -> bool:
    """Say whether anything answers there: a killed server's file stays, and its number may be another's by now."""
    place = urlsplit(address.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=PROBE_S)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except TimeoutError:
        return True  # it took the call, and is busy
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def _serve(store: Store, doors: Doors, listener: socket.socket, on_ready: Callable[[Address], None]) -> None:
    rooms = Rooms(store)
    live = Live(rooms.events)
    config = uvicorn.Config(
        application(store, doors, rooms=rooms, live=live),
        log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on", ws="none",
        timeout_graceful_shutdown=GRACE_S,
    )  # fmt: skip
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = Address(url=f"http://{shown}:{port}", pid=os.getpid())
    file = _address_file(store.settings)

    def ready() -> None:
        file.write_bytes(msgspec.json.encode(address))
        on_ready(address)

    server = _Server(config, ready=ready, live=live)
    try:
        server.run(sockets=[listener])
    finally:
        if _address_in(file) == address:  # another server of this home may have come later
            file.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Uvicorn that says when it answers, and that ends the endless streams when it is told to stop."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None], live: Live) -> None:
        super().__init__(config)
        self._ready = ready
        self._live = live

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._live.stopping = True
        super().handle_exit(sig, frame)
        # Uvicorn would send itself the signal again at the end, which skips the closing of the store.
        self._captured_signals.clear()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise NotReachable(
            f"cannot listen at {host}:{port}",
            where="settings host and port",
            why=f"The system says: {os.strerror(error.errno) if error.errno else error}.",
            next="stop the other program, or choose another port: trimtab up --port 8401 (0: any free one)",
        ) from None
    return listener


def _address_file(settings: Settings) -> Path:
    return settings.home_path / "server.json"


def _address_in(file: Path) -> Address | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Address)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Write warnings and faults to a file in the home, at most 5 MB and one older piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=5_000_000, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("trimtab", "uvicorn")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
