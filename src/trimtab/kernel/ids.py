"""Ids that sort by the time they were made: 48 bits of milliseconds, then 80 bits that never repeat (ULID layout)."""

import os
import random
import struct
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from trimtab.kernel.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DECODE = {c: i for i, c in enumerate(_ALPHABET)}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
LENGTH = 26
_LOW = (1 << 40) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Ids:
    """Makes ids of 26 characters (Crockford base 32), strictly increasing within one source.

    With ``seed`` the ids are a pure function of the clock and the seed, as a replay needs; without it the
    random part comes from the operating system. Safe to share between threads.
    """

    def __init__(self, clock: Clock, *, seed: int | None = None) -> None:
        self._clock = clock
        self._seeded = None if seed is None else random.Random(seed).getrandbits  # noqa: S311 - a replay repeats them
        self._lock = threading.Lock()
        self._last = 0
        """The last id as a number, with a seed."""
        self._millis, self._upper, self._low, self._begun = -1, 0, 0, ""
        """The last id without a seed: its time, its upper 88 bits, its lower 40, and the text of the upper ones."""
        self._steps: list[int] = []
        """Numbers of 32 random bits, taken from the system many at a time: asking costs more than all the rest."""
        _sources.add(self)

    def reseed(self, seed: int) -> None:
        """Go on from another seed: what follows is a function of the clock and this seed, whatever was made before."""
        with self._lock:
            self._seeded = random.Random(seed).getrandbits  # noqa: S311 - a replay repeats them
            self._last = 0

    def new(self, at: datetime | None = None) -> str:
        """Return a new id of this moment, or of ``at``, which the clock told a little earlier."""
        millis = ((at or self._clock.now()) - _EPOCH) // _MILLISECOND
        with self._lock:
            if self._seeded is not None:
                return self._repeatable(millis, self._seeded)
            steps = self._steps
            if len(steps) < 4:
                steps += struct.unpack("=256I", os.urandom(1024))
            # Same millisecond (or a clock that stood still): count on from the last id.
            low = self._low + 1 + steps.pop()
            if millis > self._millis:
                more = steps.pop()
                low = steps.pop() << 8 | more & 255
                self._begin(millis << 40 | steps.pop() << 8 | more >> 24)
            elif low > _LOW:
                low &= _LOW
                self._begin(self._upper + 1)
            self._low = low
            pairs = _PAIRS
            return (
                self._begun + pairs[low >> 30] + pairs[low >> 20 & 1023] + pairs[low >> 10 & 1023] + pairs[low & 1023]
            )

    def after_fork(self) -> None:
        """Go on far from where the process goes on that this one was forked from, with other random bits."""
        self._steps, self._lock = [], threading.Lock()
        self._begin(self._upper + 1 + int.from_bytes(os.urandom(4), "big"))

    def _begin(self, upper: int) -> None:
        self._millis, self._upper, self._begun = upper >> 40, upper, _written(upper, 80)

    def _repeatable(self, millis: int, bits: Callable[[int], int]) -> str:
        value = (millis << 80) | bits(80)
        if value <= self._last:
            value = self._last + 1 + bits(32)
        self._last = value
        return encode(value)


_sources: "weakref.WeakSet[Ids]" = weakref.WeakSet()


def _after_fork() -> None:
    for source in list(_sources):
        source.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
