"""Slow down whoever shows secrets that nobody issued, without keeping anybody else out."""

import ipaddress
import math
from collections import OrderedDict
from threading import Lock

import msgspec

from trimtab.server.errors import TooManyFailures

FREE = 5
"""Failures of one address that cost it no time."""
LONGEST_S = 30.0
"""The longest that an address waits for its next attempt. It doubles from one second with each failure."""
REMEMBERED = 2048
"""How many addresses are remembered; beyond them, the one whose failure lies furthest back is forgotten."""
FORGIVEN_S = 900.0
"""After so long without a failure an address begins anew."""
CROWD = 100
"""Failures of all addresses within a minute from which on an address has no free attempts after its first."""
MINUTE_S = 60.0


class _Failed(msgspec.Struct):
    mark: int
    times: int
    last_s: float
    until_s: float


class Throttle:
    """Counts failed attempts by address, and all together. Times are of the monotonic clock, in seconds.

    An address that has not failed is never held up, whatever others do; one that has, gets its next attempt within
    ``LONGEST_S``. Who shows the same wrong secret again and again is no guesser (its token has expired, say), and does
    not hold up its neighbours behind one address. ``mark`` tells secrets apart.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._failed: OrderedDict[str, _Failed] = OrderedDict()
        self._minute_s = 0.0
        self._crowd = 0

    def check(self, address: str, mark: int, *, now_s: float) -> None:
        """Raise ``TooManyFailures`` for an address that has to wait before its next attempt."""
        with self._lock:
            failed = self._failed.get(_network(address))
            wait_s = 0.0 if failed is None or failed.mark == mark else failed.until_s - now_s
        if wait_s > 0:
            raise TooManyFailures(
                "too many wrong tokens came from this address",
                where="header Authorization, or the page to sign in",
                wait_s=math.ceil(wait_s),
            )

    def failed(self, address: str, mark: int, *, now_s: float) -> None:
        """Count a failure of an address, and decide when its next attempt may come."""
        place = _network(address)
        with self._lock:
            before = self._failed.get(place)
            if before is not None and before.mark == mark:
                return
            if now_s - self._minute_s >= MINUTE_S:
                self._minute_s, self._crowd = now_s, 0
            self._crowd += 1
            times = 1 if before is None or now_s - before.last_s >= FORGIVEN_S else before.times + 1
            beyond = times - (FREE if self._crowd <= CROWD else 0)
            wait_s = min(2.0 ** min(beyond - 1, 10), LONGEST_S) if beyond > 0 else 0.0
            self._failed[place] = _Failed(mark, times, now_s, now_s + wait_s)
            self._failed.move_to_end(place)
            if len(self._failed) > REMEMBERED:
                self._failed.popitem(last=False)


def _network(address: str) -> str:
    """Return what an address is counted as: in IPv6 its first 64 bits, of which one machine has all the rest."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    return address if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
