"""Where the loop stands between two looks: moments that it remembers for a model. Operational, so without events."""

from contextlib import suppress
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from trimtab.loop.tables import marks
from trimtab.store import Store


def get_mark(store: Store, model: str, name: str) -> datetime | None:
    """Return a remembered moment, or None."""
    with store.read() as connection:
        row = connection.execute(_GET, {"of": model, "called": name}).first()
    return None if row is None else datetime.fromisoformat(row.at)


def set_mark(store: Store, model: str, name: str, at: datetime | None) -> None:
    """Remember a moment in place of the one before; None forgets it."""
    # That another process sets the first one in the same moment is as good.
    with suppress(IntegrityError), store.journal() as journal:
        if at is None:
            journal.execute(_FORGET, {"of": model, "called": name})
        elif not journal.execute(_MOVE, {"of": model, "called": name, "to": at.isoformat()}).rowcount:
            journal.execute(_SET, {"model": model, "name": name, "at": at.isoformat()})


def claim_mark(connection: Connection, model: str, name: str, *, was: datetime, at: datetime) -> bool:
    """Move a moment as a part of a change; say whether it still was what it had been seen to be."""
    moved = connection.execute(_CLAIM, {"of": model, "called": name, "seen": was.isoformat(), "to": at.isoformat()})
    return moved.rowcount == 1


# Made once: making a statement costs as much as a small query.
_HERE = (marks.c.model == bindparam("of")) & (marks.c.name == bindparam("called"))
_GET = select(marks.c.at).where(_HERE)
_FORGET = delete(marks).where(_HERE)
_MOVE = update(marks).where(_HERE).values(at=bindparam("to"))
_CLAIM = _MOVE.where(marks.c.at == bindparam("seen"))
_SET = insert(marks)
