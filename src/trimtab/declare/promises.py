"""What a field promises beyond its type: ``between``, ``one_of``, ``known_at``, ``missing``."""

import math
from typing import Any

import msgspec

from trimtab.declare.mistakes import BadPromise
from trimtab.declare.places import here
from trimtab.declare.render import number_text, quoted


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """The right-hand side of a contract's field, before the field's name and type are known."""

    word: str
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] | None = None
    missing: float = 0.0
    known_at: str | None = None
    where: str

    def __repr__(self) -> str:
        return promise_text(
            low=self.low, high=self.high, values=self.values, missing=self.missing, known_at=self.known_at
        )


# These return Any, as ``dataclasses.field`` does: the type of a field is its annotation, ``temp: tt.Float = ...``.


def between(low: float, high: float, *, missing: float = 0.0, known_at: str | None = None) -> Any:
    """Promise numbers from ``low`` to ``high``, both included; a row outside is set aside.

    ``missing`` is the largest share of nulls in a snapshot. ``known_at`` names the time column that says when the
    value became known. Raises ``BadPromise``.
    """
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise BadPromise(
                f"between({low!r}, {high!r}) has a bound that is not a number",
                where=here(),
                why="Both bounds are finite numbers, in the unit of the data.",
                next="write for example tt.between(0, 120)",
            )
        if float(bound) != bound:
            raise BadPromise(
                f"between({low!r}, {high!r}) has a bound that no float holds",
                where=here(),
                why="Bounds are floats, which leave whole numbers out beyond 2**53, so another bound would be held to.",
                next=f"write {float(bound):.0f}, or promise no range",
            )
    if low > high:
        raise BadPromise(
            f"between({low!r}, {high!r}) holds no number",
            where=here(),
            why="The lower bound is greater than the upper one.",
            next=f"write tt.between({high!r}, {low!r})",
        )
    return _promise("between", low=float(low), high=float(high), missing=missing, known_at=known_at)


def one_of(*values: str, missing: float = 0.0, known_at: str | None = None) -> Any:
    """Promise one of these texts; a row with another one is set aside. Raises ``BadPromise``."""
    if not values or not all(isinstance(value, str) for value in values):
        raise BadPromise(
            f"one_of({', '.join(map(repr, values))}) does not list texts",
            where=here(),
            why="The values of a category are texts, at least one.",
            next='write for example tt.one_of("EWR", "JFK")',
        )
    if not all(value.strip() for value in values):
        raise BadPromise(
            f"one_of({', '.join(map(repr, values))}) lists a blank text",
            where=here(),
            why="A blank text is missing, whatever file or frame brings it.",
            next="leave it out, and promise how many may be missing: missing=0.1",
        )
    twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
    if twice:
        raise BadPromise(
            f"one_of names {twice[0]!r} twice",
            where=here(),
            why="One of the two was probably meant to be another value.",
            next=f"write {twice[0]!r} once",
        )
    return _promise("one_of", values=tuple(values), missing=missing, known_at=known_at)


def known_at(column: str, *, missing: float = 0.0) -> Any:
    """Say which time column tells when the value became known; before that moment no feature can see it.

    ``missing`` is the largest share of nulls in a snapshot. Raises ``BadPromise``.
    """
    return _promise("known_at", known_at=column, missing=missing)


def missing(share: float, *, known_at: str | None = None) -> Any:
    """Promise nothing but that at most this share of a snapshot is null. Raises ``BadPromise``."""
    return _promise("missing", missing=share, known_at=known_at)


def promise_text(
    *,
    low: float | None,
    high: float | None,
    values: tuple[str, ...] | None,
    missing: float | None,
    known_at: str | None,
) -> str:
    """Write a promise as it stands in a contract; empty when there is nothing but the type."""
    share = [f"missing={number_text(missing)}"] if missing else []
    known = [f'known_at="{known_at}"'] if known_at else []
    if low is not None and high is not None:
        return f"tt.between({', '.join([number_text(low), number_text(high), *share, *known])})"
    if values is not None:
        return f"tt.one_of({', '.join([*(quoted(value) for value in values), *share, *known])})"
    if known_at:
        return f"tt.known_at({', '.join([quoted(known_at), *share])})"
    return f"tt.missing({number_text(missing)})" if missing else ""


def _promise(word: str, **parts: Any) -> Promise:
    share, column = parts["missing"], parts.get("known_at")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        percent = isinstance(share, int | float) and not isinstance(share, bool) and 1 < share <= 100
        raise BadPromise(
            f"missing={share!r} is not a share",
            where=here(),
            why="The largest share of missing values lies between 0 (none) and 1 (all).",
            next=f"for {share:g} percent write missing={share / 100:g}"
            if percent
            else "write for example missing=0.01",
        )
    if column is not None and (not isinstance(column, str) or not column):
        raise BadPromise(
            f"known_at={column!r} does not name a column",
            where=here(),
            why="A contract's fields name each other by text, because they are declared in one block.",
            next='write for example tt.known_at("arrived")',
        )
    return Promise(word=word, **{**parts, "missing": float(share)}, where=here())
