"""Ids that sort by the time they were made: 48 bits of milliseconds, then 80 bits that never repeat (ULID layout)."""

import os
import random
import threading
from datetime import UTC, datetime, timedelta

from trimtab.kernel.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DECODE = {c: i for i, c in enumerate(_ALPHABET)}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
LENGTH = 26
_AT_ONCE = 1024
_CHARACTERS = "".join(_ALPHABET[byte & 31] for byte in range(256)).encode()
"""A character for each byte, all equally likely."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Ids:
    """Makes ids of 26 characters (Crockford base 32), strictly increasing within one source.

    With ``seed`` the ids are a pure function of the clock and the seed, as a replay needs; without it the
    random part comes from the operating system. Safe to share between threads.
    """

    def __init__(self, clock: Clock, *, seed: int | None = None) -> None:
        self._clock = clock
        self._characters = _Characters(seed)
        self._lock = threading.Lock()
        self._millis = -1
        self._begun, self._count = "", 0
        """How the ids of the newest millisecond begin, and the 40 bits by which they follow each other."""

    def reseed(self, seed: int) -> None:
        """Go on from another seed: what follows is a function of the clock and this seed, whatever was made before."""
        with self._lock:
            self._characters = _Characters(seed)
            self._millis = -1

    def new(self) -> str:
        millis = (self._clock.now() - _EPOCH) // _MILLISECOND
        with self._lock:
            drawn = self._characters.take(16)
            if millis > self._millis:
                self._millis, self._count = millis, _number(drawn[:8])
                self._begun = _written(millis, 40)
                return self._begun + drawn
            # Same millisecond (or a clock that stood still): count on from the last id.
            self._count += 1 + _DECODE[drawn[0]]
            if self._count >> 40:
                self._millis, self._count = self._millis + 1, _number(drawn[:8])
                self._begun = _written(self._millis, 40)
            return f"{self._begun}{_written(self._count, 30)}{drawn[8:]}"


class _Characters:
    """Random characters, taken from their source many at a time: asking costs more than all the rest."""

    def __init__(self, seed: int | None) -> None:
        self._draw = os.urandom if seed is None else random.Random(seed).randbytes  # noqa: S311 - a replay repeats them
        self._taken, self._at, self._process = "", 0, 0

    def take(self, count: int) -> str:
        """Return so many characters. Not safe to share between threads."""
        end, process = self._at + count, os.getpid()
        if end > len(self._taken) or process != self._process:  # a forked process must not take the same ones
            self._taken, self._process, end = self._draw(_AT_ONCE).translate(_CHARACTERS).decode(), process, count
        self._at = end
        return self._taken[end - count : end]


def _number(text: str) -> int:
    value = 0
    for character in text:
        value = value * 32 + _DECODE[character]
    return value


def encode(value: int) -> str:
    """Write a 128-bit number as 26 characters that sort like the number."""
    return _written(value, 120)


def _written(value: int, shift: int) -> str:
    """Write a number in pairs of characters, the first of which stands for the bits from ``shift`` on."""
    return "".join([_PAIRS[value >> at & 1023] for at in range(shift, -1, -10)])


def time_of(id_: str) -> datetime:
    """Return the moment at which an id was made, to the millisecond."""
    return _EPOCH + _number(id_[:10]) * _MILLISECOND


def is_id(text: str) -> bool:
    """Say whether a text has the form of an id."""
    return len(text) == LENGTH and text[0] in "01234567" and all(c in _DECODE for c in text)
