"""Where the loop stands between two looks: moments that it remembers for a model. Operational, so without events."""

from datetime import datetime

from sqlalchemy import delete, insert, select

from fairlead.loop.tables import marks
from fairlead.store import Store


def get_mark(store: Store, model: str, name: str) -> datetime | None:
    """Return a remembered moment, or None."""
    query = select(marks.c.at).where(marks.c.model == model, marks.c.name == name)
    with store.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else datetime.fromisoformat(row.at)


def set_mark(store: Store, model: str, name: str, at: datetime | None) -> None:
    """Remember a moment in place of the one before; None forgets it."""
    with store.journal() as journal:
        journal.execute(delete(marks).where(marks.c.model == model, marks.c.name == name))
        if at is not None:
            journal.execute(insert(marks).values(model=model, name=name, at=at.isoformat()))
