"""Serve one project from one process until it is told to stop."""

import asyncio
import logging
import math
import os
import secrets
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from trimtab.kernel import EVERYTHING, Clock, Refused, Settings, TrimtabError, this_user
from trimtab.pipelines import check_system, hide_memory
from trimtab.server.api import Live, described, routes
from trimtab.server.app import create_app
from trimtab.server.doors import LOOPBACK_NAMES, Doors, is_loopback
from trimtab.server.errors import NotReachable
from trimtab.server.faces import faces_of
from trimtab.server.found import Address, address_of, forget_address, note_address
from trimtab.server.http import Connection, HttpLimits, watch
from trimtab.server.logs import log_file, logging_to
from trimtab.server.records import Access
from trimtab.server.rooms import Rooms
from trimtab.server.tokens import has_active_token
from trimtab.store import Store, open_store

log = logging.getLogger("trimtab.server")

GRACE_S = 1.5
"""How long requests in progress may take to finish when the server stops."""
STOP_S = 4.5
"""How long the whole stop may take: whatever does not end by then ends with the process."""
REFUSALS_EVERY_S = 2.0
"""How long a refused attempt is known to this process alone."""


class NeedsToken(Refused):
    """A server that others can reach would answer to anyone."""

    code = "server.needs-token"
    default_why = "Other machines can reach {host}, and there is no API token that would tell who calls."
    default_next = "trimtab token create NAME --may read --may admin, then start again; or leave host at 127.0.0.1"


def serve(settings: Settings, *, clock: Clock | None = None, on_ready: Callable[[Address], None]) -> None:
    """Open the project that the settings name and serve it until SIGINT or SIGTERM.

    ``on_ready`` is called with the address when requests are answered. Raises ``NeedsToken`` for an address that other
    machines can reach while no token is active, ``NotReachable`` when the address is taken, and ``NoWorkersHere``.

    A signal ends the whole process when something has not ended ``STOP_S`` seconds after it, such as a model's call: a
    kill at any moment loses nothing that was acknowledged.
    """
    check_system()
    hide_memory()
    store = open_store(settings, clock=clock)
    try:
        doors = doors_of(store, settings)
        listener = _listen(settings.host, settings.port)
        with listener, logging_to(log_file(settings.home_path)):
            is_whole = _serve(store, doors, listener, on_ready)
    finally:
        store.close()
    if not is_whole:
        _leave()  # else the interpreter would be taken apart under a model's feet


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
    local = None if reachable else Access(actor=this_user(), grants=EVERYTHING)
    return Doors(store=store, clock=store.clock, hosts=hosts, local=local)


def application(store: Store, doors: Doors, *, rooms: Rooms, live: Live, instance: str = "") -> Starlette:
    """Return the whole application over an opened store: the rooms, the protocols of others, the pages.

    ``instance`` is what this start of the server calls itself, for whoever looks for it.
    """
    own = routes(rooms.store, doors, missing=rooms.missing, endpoints=rooms.endpoints, live=live, instance=instance)
    all_routes = [*rooms.routes(), *own]
    all_routes.append(described(all_routes))
    faces = faces_of(rooms, doors, all_routes)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await rooms.start()
        writing = asyncio.create_task(_write_refusals(store, doors))
        try:
            yield
        finally:
            live.stopping = True
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await rooms.stop()
            await run_in_threadpool(_refusals_written, store, doors)

    return create_app(all_routes, doors=doors, ids=store.ids, lifespan=lifespan, faces=faces)


async def _write_refusals(store: Store, doors: Doors) -> None:
    """Write down who was refused what, every few seconds."""
    while True:
        await asyncio.sleep(REFUSALS_EVERY_S)
        await run_in_threadpool(_refusals_written, store, doors)


def _refusals_written(store: Store, doors: Doors) -> None:
    try:
        doors.refusals.write(store)
    except TrimtabError as error:
        log.warning("refused attempts cannot be written down yet: %s", error)
    except Exception:  # the edge of a background task: somebody must hear of it
        log.exception("refused attempts cannot be written down")


def _serve(store: Store, doors: Doors, listener: socket.socket, on_ready: Callable[[Address], None]) -> bool:
    """Serve until a signal comes; say whether everything has ended that was begun."""
    rooms = Rooms(store)
    live = Live(rooms.events)
    host, port = listener.getsockname()[:2]
    address = address_of(store.settings, host=host, port=port, instance=secrets.token_hex(16))
    config = uvicorn.Config(
        application(store, doors, rooms=rooms, live=live, instance=address.instance),
        log_config=None, access_log=False, server_header=False, lifespan="on", ws="none",
        timeout_keep_alive=math.ceil(store.settings.http_keep_alive_s), http=_http(store.settings),
        proxy_headers=bool(store.settings.proxies), forwarded_allow_ips=store.settings.proxies,
    )  # fmt: skip
    config.timeout_graceful_shutdown = GRACE_S  # type: ignore[assignment]  # it is only waited for

    def ready() -> None:
        note_address(store.settings, address)
        on_ready(address)

    def late() -> None:
        log.error("the server did not stop within %g s: it ends with what goes on", STOP_S)
        forget_address(store.settings, address)
        _leave()

    server = _Server(config, ready=ready, late=late, live=live)
    try:
        server.run(sockets=[listener])
    finally:
        forget_address(store.settings, address)
    return not rooms.gateway.left_calls


def _http(settings: Settings) -> Any:
    """Return what makes a connection."""
    return partial(Connection, limits=HttpLimits.of(settings))


def _others_work() -> bool:
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.current_thread())


def _leave() -> None:
    """End the process at once, without waiting for its threads."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Server(uvicorn.Server):
    """Uvicorn that says when it answers, watches its connections, ends the endless streams when it is told to stop, and
    calls ``late`` when that takes too long."""

    def __init__(
        self, config: uvicorn.Config, *, ready: Callable[[], None], late: Callable[[], None], live: Live
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._late = late
        self._live = live
        self._watching: asyncio.Task[None] | None = None
        self._patience: threading.Timer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._watching = asyncio.create_task(watch(self.server_state.connections))
            self._ready()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            # Where another thread is still at work, the process would wait for it; else it can end in order.
            if self._patience is not None and not _others_work():
                self._patience.cancel()
                self._patience.join()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._live.stopping = True
        if self._patience is None:
            self._patience = threading.Timer(STOP_S, self._late)
            self._patience.daemon = True
            self._patience.start()
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
