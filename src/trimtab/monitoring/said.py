"""Read outcomes as callers give them, and refuse what cannot be one before anything is written."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa

from trimtab.data import value_text
from trimtab.monitoring.errors import OutcomeRefused, TooManyOutcomes
from trimtab.monitoring.moments import us_of
from trimtab.monitoring.records import Outcome
from trimtab.monitoring.sums import LARGEST
from trimtab.monitoring.taking import digest_of_key, key_text

MOST = 100_000
"""Outcomes in one call."""
MOST_KEY_COLUMNS = 20
MOST_TEXT = 1000
SLACK = timedelta(minutes=1)
"""How far the clock of whoever sends outcomes may be ahead."""


class Said(msgspec.Struct, frozen=True):
    """One outcome, checked: of a decision or of a key (as it stands in the table), and where it stood.

    ``keys`` are the key's text and, where that is another, what stood for the key before values had one text.
    """

    row: int
    value: float
    known_us: int
    decision: str | None
    keys: tuple[str, ...]
    at_us: int | None
    name: str


def outcomes_in(given: Sequence[Outcome] | pa.Table) -> Sequence[Outcome]:
    """Return the outcomes that a table holds, one a row; a sequence as it is. Raises ``OutcomeRefused``."""
    count = given.num_rows if isinstance(given, pa.Table) else len(given)
    if count > MOST:
        raise TooManyOutcomes(
            f"{count:,} outcomes were sent at once", where="outcomes", most=f"{MOST:,}",
            why=f"At most {MOST:,} are recorded in one step.",
        )  # fmt: skip
    if not isinstance(given, pa.Table):
        return given
    names = set(given.column_names)
    keys = sorted(names - {"value", "decision", "known_at", "at"})
    if "value" not in names or ("decision" in names) == bool(keys):
        raise OutcomeRefused(
            f"the table has the columns {', '.join(given.column_names)[:200]}", where="outcomes",
            why="It needs value, and either decision or the key columns.",
            next="name the columns value and decision (or the key's), and perhaps known_at",
        )  # fmt: skip
    return [_outcome(row, keys) for row in given.to_pylist()]


def _outcome(row: dict[str, Any], keys: Sequence[str]) -> Outcome:
    return Outcome(
        value=row["value"], decision=row.get("decision"), key={name: row[name] for name in keys} if keys else None,
        at=row.get("at"), known_at=row.get("known_at"),
    )  # fmt: skip


def read_outcomes(outcomes: Iterable[Outcome], *, now: datetime) -> list[Said]:
    """Check each outcome. Raises ``OutcomeRefused`` for the first that is none."""
    return [_checked(outcome, row, now) for row, outcome in enumerate(outcomes)]


def _checked(outcome: Outcome, row: int, now: datetime) -> Said:
    if not isinstance(outcome, Outcome):
        raise _refused(row, f"it is a {type(outcome).__name__}", "Outcomes are trimtab.monitoring.Outcome values.")
    if (outcome.decision is None) == (outcome.key is None):
        raise _refused(
            row, "it names no decision" if outcome.decision is None else "it names a decision and a key",
            "An outcome is of one decision, named by its id, or of one key.",
        )  # fmt: skip
    decision = outcome.decision
    if decision is not None and (not isinstance(decision, str) or not 0 < len(decision) <= MOST_TEXT):
        raise _refused(row, "its decision is no id", "A decision's id is the text that came with its answer.")
    known = now if outcome.known_at is None else _moment(outcome.known_at, "known_at", row)
    if known > now + SLACK:
        raise _refused(
            row, f"it becomes known at {known.isoformat()}", f"It is {now.isoformat()} now, and nobody knows it yet."
        )
    at = None if outcome.at is None else us_of(_moment(outcome.at, "at", row))
    value = _value(outcome.value, row)
    if outcome.key is None:
        return Said(row, value, us_of(known), decision, (), None, str(decision)[:40])
    keys = _keys(outcome.key, row)
    shown = ", ".join(f"{name}={value}" for name, value in list(outcome.key.items())[:3])[:80]
    return Said(row, value, us_of(known), None, keys, at, f"about {shown}")


def _value(value: Any, row: int) -> float:
    is_number = isinstance(value, np.number | np.bool_) and not isinstance(value, np.timedelta64)
    value = value.item() if is_number else value
    value = float(value) if isinstance(value, Decimal) and not value.is_snan() else value
    if isinstance(value, bool | int | float) and -LARGEST <= value <= LARGEST:  # NaN compares false
        return float(value)
    if isinstance(value, float | int):
        what = "its value is NaN" if value != value else "its value is too large"  # noqa: PLR0124
        raise _refused(row, what, f"An outcome is a finite number of at most {LARGEST:g} in size.")
    raise _refused(row, f"its value is a {type(value).__name__}", "An outcome is a number: 1 or 0 for a classifier.")


def _moment(at: Any, name: str, row: int) -> datetime:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise _refused(row, f"its {name} is no moment", "Moments carry their time zone: 2013-03-01T12:00:00Z.")
    return at


def _keys(key: Any, row: int) -> tuple[str, ...]:
    usable = isinstance(key, dict) and 0 < len(key) <= MOST_KEY_COLUMNS
    key = {name: _known(value) for name, value in key.items()} if usable else {}
    if not usable or not all(isinstance(name, str) and _is_plain(value) for name, value in key.items()):
        raise _refused(
            row, "its key is no key", "A key holds a text, number, yes or no, or moment for each key column."
        )
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in key.items()}
    text = key_text(plain, None)
    assert text is not None, "every column of a key that was said is there"
    return tuple(dict.fromkeys((text, digest_of_key(plain))))


def _known(value: Any) -> Any:
    """Return a number of NumPy as Python's, and a decimal or UUID as the text that it has in a column too."""
    if not isinstance(value, np.generic | Decimal | UUID) or (text := value_text(value)) is None:
        return value
    return value.item() if isinstance(value, np.generic) else text


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_TEXT
    return isinstance(value, bool | int | datetime) or (isinstance(value, float) and math.isfinite(value))


def _refused(row: int, what: str, why: str) -> OutcomeRefused:
    return OutcomeRefused(
        f"an outcome cannot be recorded: {what}", where=f"outcomes, row {row}", row=row,
        why=f"{why} One wrong outcome would count in every figure after it, so nothing of this call was kept.",
    )  # fmt: skip
