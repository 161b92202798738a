"""Who is at the door: the Host header, the origin of a change, and the token, session or local user of a request."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import unquote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import cookie_parser

from trimtab.kernel import Actor, Clock, Names, Permission, TrimtabError
from trimtab.server.errors import ForeignHost, ForeignOrigin, NotAllowed, NotSignedIn, TooManyFailures, UserCode
from trimtab.server.peer_process import End, Peer, peer_of
from trimtab.server.records import Access
from trimtab.server.refusals import UNKNOWN, Refusals
from trimtab.server.sessions import end_session, recognise_session, start_session
from trimtab.server.throttle import Throttle
from trimtab.server.tokens import recognise
from trimtab.store import Store, check_shown

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
COOKIE = "trimtab_session"
"""Name of the cookie that holds the secret of a browser's session: HttpOnly, SameSite=Strict."""
REMEMBERED_S = 5.0
"""How long a token or session is taken without asking the database again: the time that its end needs to arrive."""
REMEMBERED = 1000
ANYONE = Access(actor=Actor("anonymous"))
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]@/:\s]+)(?::\d*)?")
"""A Host header: a name or an address, and maybe a port. What reads otherwise names nobody."""


def is_loopback(host: str) -> bool:
    """Say whether a server that listens on ``host`` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Find(Protocol):
    """How a secret is looked up: as a token's, or as a session's."""

    def __call__(self, store: Store, secret: str, *, now: datetime) -> Access | None: ...


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of every request before a handler sees it.

    ``hosts`` are the names that the Host header may hold; empty means any. ``local`` is whom a request without a token
    comes from, on a server that only this machine can reach; None means that a token is needed. ``refusals`` counts who
    was sent away, and ``throttle`` slows down who guesses at tokens.
    """

    store: Store
    clock: Clock
    hosts: frozenset[str]
    local: Access | None
    remembered: dict[tuple[Find, str], tuple[float, Access]] = {}
    compared: set[str] = msgspec.field(default_factory=set)
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    throttle: Throttle = msgspec.field(default_factory=Throttle)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Raise ``ForeignHost`` when the Host header names another machine."""
        if not self.hosts:
            return
        said = headers.get("host", "")
        if _named(said) not in self.hosts:
            raise ForeignHost(f"this server is not called {said[:100]!r}", where="header Host")

    def check_origin(self, method: str, headers: Mapping[str, str]) -> None:
        """Raise ``ForeignOrigin`` when a browser says that a change was asked for by another site's page."""
        if method in SAFE_METHODS:
            return
        site = headers.get("sec-fetch-site")
        if site is not None:
            if site not in ("same-origin", "none"):
                raise ForeignOrigin(f"the change was asked for from a {site[:20]} page", where="header Sec-Fetch-Site")
            return
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
            raise ForeignOrigin(f"the change was asked for from {origin[:100]!r}", where="header Origin")

    async def admit(
        self, needed: Permission, headers: Mapping[str, str], *, client: End | None, server: End | None
    ) -> Access:
        """Return who asks; raise ``NotSignedIn`` when that is not known, ``TooManyFailures`` for whoever guesses at it.

        ``client`` and ``server`` are the ends of the connection. Raises ``NotAllowed`` for somebody who holds the
        permission for nothing at all, and ``UserCode``.
        """
        if needed is Permission.PUBLIC:
            return self.local or ANYONE
        access = await self._who(headers, client[0] if client else "")
        if access is self.local and needed is not Permission.PREDICT and client and server:
            await run_in_threadpool(_check_peer, client, server, needed)
        self.check_held(access, needed, ())
        return access

    async def check_shown(self, headers: Mapping[str, str]) -> None:
        """Raise ``HistoryDiffers`` unless the ledger goes on from the checkpoint that the caller was given earlier."""
        note = unquote(headers.get("trimtab-checkpoint", ""))
        if note and note not in self.compared:
            await run_in_threadpool(check_shown, self.store, note)
            if len(self.compared) > REMEMBERED:
                self.compared.clear()
            self.compared.add(note)

    def check_held(self, access: Access, needed: Permission, names: Names) -> None:
        """Raise ``NotAllowed`` for somebody who does not hold a permission for all that has these names."""
        if access.grants.may(needed, names):
            return
        about = f":{','.join(names)}" if names else ""
        raise NotAllowed(
            f"{access.actor.id} may not do this",
            where="token" if access.token_id else "this server",
            needed=f"{needed.value}{about}" if names is not None else f"{needed.value}, not for some names only",
            held=", ".join(access.grants.texts) or "none",
            wanted=f"{needed.value}{about}",
            who=str(access.actor),
        )

    def sign_in(self, token: str, *, address: str, because: str) -> str:
        """Begin a session for whoever a token stands for, and return what the browser's cookie holds.

        Raises ``NotSignedIn`` for a token that does not hold, and ``TooManyFailures``.
        """
        access = self._found(token, address, recognise)
        with self.store.change(access.actor, because) as change:
            return start_session(change, access).secret

    def sign_out(self, headers: Mapping[str, str], *, because: str) -> None:
        """End the session of a browser, if it has one: here at once, in other processes within seconds."""
        secret = _cookie(headers)
        access = recognise_session(self.store, secret, now=self.clock.now())
        self.remembered.pop((recognise_session, secret), None)
        if access is not None:
            with self.store.change(access.actor, because) as change:
                end_session(change, access)

    def note(self, error: TrimtabError, access: Access | None, *, asked: str, about: str = "") -> None:
        """Count an error that refuses, by whom it was met: as far as the request went, or as the error says."""
        actor = str(error.data.get("who", UNKNOWN)) if access in (None, ANYONE) else str(access.actor)
        self.refusals.note(error, at=self.clock.now(), actor=actor, asked=asked, about=about)

    async def _who(self, headers: Mapping[str, str], address: str) -> Access:
        if secret := _bearer(headers):
            return await self._holder(secret, address, recognise)
        if secret := _cookie(headers):
            try:
                return await self._holder(secret, address, recognise_session)
            except (NotSignedIn, TooManyFailures):
                # Cookies are of a host and not of a port, so another server's may come here, where none is needed.
                if self.local is None:
                    raise
        if self.local is None:
            raise NotSignedIn("the request carries no token", where="header Authorization")
        return self.local

    async def _holder(self, secret: str, address: str, find: Find) -> Access:
        known = self.remembered.get((find, secret))
        if known is not None and self.clock.monotonic() < known[0]:
            return known[1]
        access = await run_in_threadpool(self._found, secret, address, find)
        if len(self.remembered) > REMEMBERED:
            self.remembered.clear()
        self.remembered[find, secret] = (self.clock.monotonic() + REMEMBERED_S, access)
        return access

    def _found(self, secret: str, address: str, find: Find) -> Access:
        """Look up a secret. One that was right before is not held up by what others have tried from its address."""
        mark = hash(secret)
        if (find, secret) not in self.remembered:
            self.throttle.check(address, mark, now_s=self.clock.monotonic())
        access = find(self.store, secret, now=self.clock.now())
        if access is None:
            self.remembered.pop((find, secret), None)
            self.throttle.failed(address, mark, now_s=self.clock.monotonic())
            raise NotSignedIn("the token is not, or no longer, valid", where="header Authorization", tried=True)
        return access


def _check_peer(client: End, server: End, needed: Permission) -> None:
    """Raise ``UserCode`` for what user code asks, and for changes that it may be asking for."""
    peer = peer_of(client, server)
    if peer is Peer.USER_CODE or (peer is Peer.UNKNOWN and needed is not Permission.READ):
        raise UserCode(
            "a project's code asks without a token" if peer is Peer.USER_CODE else "nobody can tell who asks",
            where=f"the process behind port {client[1]}",
        )


@lru_cache(maxsize=256)
def _named(host: str) -> str | None:
    """Return the name or address in a Host header; None for one that holds none."""
    found = _HOST.fullmatch(host)
    return None if found is None else found[1].strip("[]").lower()


def reason_in(headers: Mapping[str, str]) -> str:
    """Return the reason that the header ``Trimtab-Because`` gives; text beyond ASCII is percent-encoded UTF-8."""
    return unquote(headers.get("trimtab-because", "")).strip()


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Mapping[str, str]) -> str:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
