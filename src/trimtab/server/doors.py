"""Who is at the door: the Host header, the origin of a change, and the token or the local user behind a request."""

import ipaddress
import re
from urllib.parse import unquote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from trimtab.kernel import Actor, Clock, Permission
from trimtab.server.errors import ForeignHost, ForeignOrigin, NotAllowed, NotSignedIn
from trimtab.server.records import Access
from trimtab.server.tokens import recognise
from trimtab.store import Store

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
COOKIE = "trimtab_token"
"""Name of the cookie that holds the token of a signed-in browser: HttpOnly, SameSite=Strict."""
REMEMBERED_S = 5.0
"""How long a token is taken without asking the database again: the time that a revocation needs to arrive."""
ANYONE = Access(actor=Actor("anonymous"), permission=Permission.PUBLIC)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]@/:\s]+)(?::\d*)?")
"""A Host header: a name or an address, and maybe a port. What reads otherwise names nobody."""


def is_loopback(host: str) -> bool:
    """Say whether a server that listens on ``host`` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of every request before a handler sees it.

    ``hosts`` are the names that the Host header may hold; empty means any. ``local`` is whom a request without a token
    comes from, on a server that only this machine can reach; None means that a token is needed.
    """

    store: Store
    clock: Clock
    hosts: frozenset[str]
    local: Access | None
    remembered: dict[str, tuple[float, Access]] = {}

    def check_host(self, headers: Headers) -> None:
        """Raise ``ForeignHost`` when the Host header names another machine."""
        if not self.hosts:
            return
        said = headers.get("host", "")
        named = _HOST.fullmatch(said)
        if named is None or named[1].strip("[]").lower() not in self.hosts:
            raise ForeignHost(f"this server is not called {said[:100]!r}", where="header Host")

    def check_origin(self, method: str, headers: Headers) -> None:
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

    async def admit(self, needed: Permission, headers: Headers) -> Access:
        """Return who asks; raise ``NotSignedIn`` or ``NotAllowed`` when that is not known or not enough."""
        if needed is Permission.PUBLIC:
            return self.local or ANYONE
        secret = _bearer(headers) or cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if secret:
            access = await self._holder(secret)
        elif self.local is not None:
            access = self.local
        else:
            raise NotSignedIn("the request carries no token", where="header Authorization")
        if not access.may(needed):
            raise NotAllowed(
                f"{access.actor} may not do this",
                where="token" if access.token_id else "this server",
                needed=needed.value,
                held=access.permission.value,
            )
        return access

    async def _holder(self, secret: str) -> Access:
        now = self.clock.monotonic()
        known = self.remembered.get(secret)
        if known is not None and now < known[0]:
            return known[1]
        self.remembered.pop(secret, None)
        access = await run_in_threadpool(recognise, self.store, secret, now=self.clock.now())
        if access is None:
            raise NotSignedIn("the token is not, or no longer, valid", where="header Authorization")
        if len(self.remembered) > 1000:
            self.remembered.clear()
        self.remembered[secret] = (now + REMEMBERED_S, access)
        return access


def reason_in(headers: Headers) -> str:
    """Return the reason that the header ``Trimtab-Because`` gives; text beyond ASCII is percent-encoded UTF-8."""
    return unquote(headers.get("trimtab-because", "")).strip()


def _bearer(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
