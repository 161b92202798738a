"""Compare texts without regard to case, in the same way on every database: Unicode's simple case folding.

Each character is folded by itself into one other: ``Ü`` is ``ü``, ``Σ`` and ``ς`` are ``σ``, ``ẞ`` is ``ß``. What only
folds into several stays as it is: ``ß`` is not ``ss``, and ``İ`` is not ``i``. So a text keeps its length, and ``_`` in
a pattern is still one character. (Unicode Character Database, CaseFolding.txt, status C and S.) A database's ``lower``
knows ASCII alone (SQLite), or what the language of the server says (PostgreSQL).
"""

import functools
from typing import Any

from sqlalchemy import ColumnElement, case, collate, func

_CASED = 0x20000
"""Beyond it lie ideographs and signs, which have no case."""


def fold(text: str) -> str:
    """Return a text with the differences of case taken out."""
    return text.lower() if text.isascii() else text.translate(_table())


def folded(column: ColumnElement[Any], *, is_sqlite: bool) -> ColumnElement[str]:
    """Return the SQL of ``fold`` for a column."""
    if is_sqlite:
        return func.fold(column)  # which Database gives to each connection
    plain = collate(column, "C")
    # Most texts are ASCII, and translate walks through its whole table for each character.
    return case(
        (func.octet_length(column) == func.char_length(column), func.lower(plain)),
        else_=func.translate(plain, *_letters()),
    )


@functools.cache
def _table() -> dict[int, str]:
    """Return the character that each one is folded into, where it is another."""
    table: dict[int, str] = {}
    for code in range(_CASED):
        letter = chr(code)
        # casefold gives the full folding; of several characters, the simple one is that of lower, if there is one.
        found = next((other for other in (letter.casefold(), letter.lower()) if len(other) == 1), letter)
        if found != letter:
            table[code] = found
    return table


@functools.cache
def _letters() -> tuple[str, str]:
    table = _table()
    return "".join(map(chr, table)), "".join(table.values())
