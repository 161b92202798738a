"""Ids that sort by the time they were made: 48 bits of milliseconds, then 80 bits that never repeat (ULID layout)."""

import os
import random
import threading
import weakref
from datetime import UTC, datetime, timedelta

from trimtab.kernel.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DECODE = {c: i for i, c in enumerate(_ALPHABET)}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
LENGTH = 26
_RANDOM = (1 << 80) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Ids:
    """Makes ids of 26 characters (Crockford base 32), strictly increasing within one source.

    With ``seed`` the ids are a pure function of the clock and the seed, as a replay needs; without it the
    random part comes from the operating system. Safe to share between threads.
    """

    def __init__(self, clock: Clock, *, seed: int | None = None) -> None:
        self._clock = clock
        self._bits = _Bits() if seed is None else random.Random(seed).getrandbits  # noqa: S311 - a replay repeats them
        self._lock = threading.Lock()
        self._last = 0
        self._begun: tuple[int, str] = (-1, "")
        """The newest millisecond, and how its ids begin."""

    def reseed(self, seed: int) -> None:
        """Go on from another seed: what follows is a function of the clock and this seed, whatever was made before."""
        with self._lock:
            self._bits = random.Random(seed).getrandbits  # noqa: S311 - a replay repeats them
            self._last = 0

    def new(self) -> str:
        millis = (self._clock.now() - _EPOCH) // _MILLISECOND
        with self._lock:
            value = (millis << 80) | self._bits(80)
            if value <= self._last:
                # Same millisecond (or a clock that stood still): count on from the last id.
                value = self._last + 1 + self._bits(32)
            self._last = value
            millis = value >> 80
            if millis != self._begun[0]:
                self._begun = (millis, _written(millis, 40))
            return self._begun[1] + _written(value & _RANDOM, 70)


class _Bits:
    """Random bits of the operating system, taken from it many at a time: asking costs more than all the rest."""

    def __init__(self) -> None:
        self._taken, self._at = b"", 0
        _sources.add(self)

    def __call__(self, count: int) -> int:
        """Return so many bits, a multiple of eight. Not safe to share between threads."""
        at = self._at
        self._at = after = at + count // 8
        if after > len(self._taken):
            self._taken, at, self._at = os.urandom(1024), 0, count // 8
        return int.from_bytes(self._taken[at : self._at], "big")

    def forget(self) -> None:
        """Take new ones from here on."""
        self._taken = b""


_sources: "weakref.WeakSet[_Bits]" = weakref.WeakSet()


def _forget_all() -> None:
    for bits in list(_sources):
        bits.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)  # a forked process must not take the same ones


def encode(value: int) -> str:
    """Write a 128-bit number as 26 characters that sort like the number."""
    return _written(value, 120)


def _written(value: int, shift: int) -> str:
    """Write a number in pairs of characters, the first of which stands for the bits from ``shift`` on."""
    return "".join([_PAIRS[value >> at & 1023] for at in range(shift, -1, -10)])


def time_of(id_: str) -> datetime:
    """Return the moment at which an id was made, to the millisecond."""
    value = 0
    for character in id_[:10]:
        value = value * 32 + _DECODE[character]
    return _EPOCH + value * _MILLISECOND


def is_id(text: str) -> bool:
    """Say whether a text has the form of an id."""
    return len(text) == LENGTH and text[0] in "01234567" and all(c in _DECODE for c in text)
