"""What a noun is to ``trimtab get``."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.kernel import NotFound


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line narrows a listing down to. ``name`` is the word after the noun, or empty."""

    name: str = ""
    limit: int = 50
    filter: str = ""
    order_by: str = ""
    type: str = ""
    actor: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None
    at: datetime | None = None
    at_position: int | None = None


def missing(noun: str, name: str, *, why: str) -> NotFound:
    """Return the error for a name that no thing of a kind has."""
    return NotFound(
        f"there is no {noun.removesuffix('s')} {name[:100]!r}",
        where=f"trimtab get {noun}",
        why=why,
        next=f"trimtab get {noun}",
    )


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """How to list and to show one kind of thing.

    ``find`` returns a list of records, or one record when ``asked.name`` names one; ``past`` does so for the moment
    ``asked.at``, and without it a past state cannot be told. ``facts`` are the lines that a single record is shown by
    in a table; without it all its fields are. A noun that is told ``by_position`` takes ``asked.at_position`` too.
    ``takes`` names the fields of ``Asked`` that narrow its list, besides the limit; ``csv_columns`` the columns that a
    list has as CSV, where they depend on what is in it. At most ``asked.limit`` records have to be found.
    """

    find: Callable[[Session, Asked], Any]
    columns: Sequence[Column]
    empty: str
    takes: frozenset[str] = frozenset()
    csv_columns: Callable[[Sequence[Any]], Sequence[Column]] | None = None
    facts: Callable[[Any], list[tuple[str, Any]]] | None = None
    past: Callable[[Session, Asked], Any] | None = None
    by_position: bool = False
