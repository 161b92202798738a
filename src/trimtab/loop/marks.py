"""Where the loop stands between two looks: moments that it remembers for a model. Operational, so without events."""

from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update

from trimtab.loop.tables import marks
from trimtab.store import Store


def get_mark(store: Store, model: str, name: str) -> datetime | None:
    """Return a remembered moment, or None."""
    with store.read() as connection:
        row = connection.execute(_GET, {"of": model, "called": name}).first()
    return None if row is None else datetime.fromisoformat(row.at)


def set_mark(store: Store, model: str, name: str, at: datetime | None) -> None:
    """Remember a moment in place of the one before; None forgets it."""
    with store.journal() as journal:
        if at is None:
            journal.execute(_FORGET, {"of": model, "called": name})
        elif not journal.execute(_MOVE, {"of": model, "called": name, "to": at.isoformat()}).rowcount:
            journal.execute(_SET, {"model": model, "name": name, "at": at.isoformat()})


# Made once: making a statement costs as much as a small query.
_HERE = (marks.c.model == bindparam("of")) & (marks.c.name == bindparam("called"))
_GET = select(marks.c.at).where(_HERE)
_FORGET = delete(marks).where(_HERE)
_MOVE = update(marks).where(_HERE).values(at=bindparam("to"))
_SET = insert(marks)
