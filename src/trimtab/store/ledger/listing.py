"""List what was recorded, for pages, audits and projections."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import Select, or_, select

from trimtab.kernel import Actor, Invalid, NotFound
from trimtab.store.events import Recorded, Subject
from trimtab.store.tables import ledger_events, ledger_subjects

if TYPE_CHECKING:
    from trimtab.store.opened import Store

MOST = 10_000
PAGE = 5_000


class _Body(msgspec.Struct):
    id: str
    at: datetime
    actor: Actor
    type: str
    version: int
    subjects: tuple[Subject, ...]
    because: str
    data: dict[str, Any]
    before: str | None
    after: str | None
    idempotency_key: str | None


_decode = msgspec.json.Decoder(_Body).decode


def events(
    store: "Store",
    *,
    type: str | Sequence[str] | None = None,
    actor: str | None = None,
    subject: Subject | tuple[str, str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None = None,
    limit: int = 100,
    order: Literal["oldest", "newest"] = "oldest",
) -> list[Recorded]:
    """Return recorded events, the oldest (or the newest) first.

    ``type`` is one type or several; one that ends in a dot (``registry.``) stands for all of a room. ``subject`` is a
    kind and an id. ``since`` and ``until`` bound the time of the change, [since, until). ``after`` is the position of
    the last event of the page before: the list goes on behind it, in either order.
    """
    if not 0 < limit <= MOST:
        raise Invalid(
            f"a list of {limit} events cannot be given",
            where="ledger events limit",
            why=f"One page holds 1 to {MOST} events.",
            next="ask for fewer and go on with after=<last position>",
        )
    store.sequence()
    column = ledger_events.c
    query = _matching(select(column.position, column.body), type, actor, subject, since, until)
    if after is not None:
        query = query.where(column.position > after if order == "oldest" else column.position < after)
    query = query.order_by(column.position if order == "oldest" else column.position.desc()).limit(limit)
    with store.read() as connection:
        return [_recorded(position, body) for position, body in connection.execute(query)]


def each_event(store: "Store", *, type: str | Sequence[str]) -> Iterator[Recorded]:
    """Yield every event of a type, or of several, the oldest first; they are read page by page."""
    after: int | None = None
    while page := events(store, type=type, after=after, limit=PAGE):
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].position


def event_times(
    store: "Store",
    *,
    since: datetime,
    type: str | Sequence[str] | None = None,
    actor: str | None = None,
    subject: Subject | tuple[str, str] | None = None,
    until: datetime | None = None,
) -> list[tuple[datetime, str]]:
    """Return the time and the type of every event that ``events`` would list, the oldest first, without a limit."""
    store.sequence()
    column = ledger_events.c
    query = _matching(select(column.at, column.type), type, actor, subject, since, until).order_by(column.position)
    with store.read() as connection:
        return [(datetime.fromisoformat(at), name) for at, name in connection.execute(query)]


def _matching(
    query: Select[Any],
    type: str | Sequence[str] | None,
    actor: str | None,
    subject: Subject | tuple[str, str] | None,
    since: datetime | None,
    until: datetime | None,
) -> Select[Any]:
    column = ledger_events.c
    if type:
        query = _of_type(query, [type] if isinstance(type, str) else type)
    if actor is not None:
        query = query.where(column.actor == actor)
    if since is not None:
        query = query.where(column.at >= _stored(since))
    if until is not None:
        query = query.where(column.at < _stored(until))
    if subject is not None:
        kind, id_ = (subject.kind, subject.id) if isinstance(subject, Subject) else subject
        about = ledger_subjects.c
        query = query.join(ledger_subjects, about.position == column.position)
        query = query.where(about.kind == kind, about.id == id_)
    return query


def event_at(store: "Store", position: int) -> Recorded:
    """Return the event at a position of the ledger. Raises ``NotFound``."""
    store.sequence()
    with store.read() as connection:
        query = select(ledger_events.c.body).where(ledger_events.c.position == position)
        body = connection.execute(query).scalar()
    if body is None:
        raise NotFound(
            f"there is no event {position}",
            where="ledger",
            why="Events are counted from 0, without gaps, up to the newest.",
            next="trimtab get events",
        )
    return _recorded(position, body)


def _stored(at: datetime) -> str:
    """Return a time as the column ``at`` holds it."""
    if at.tzinfo is None:
        raise Invalid(
            f"{at.isoformat()} has no time zone",
            where="ledger events since and until",
            why="Every moment in Trimtab is an aware UTC time.",
            next="pass datetime(..., tzinfo=UTC)",
        )
    return at.astimezone(UTC).isoformat()


def _of_type(query: Select[Any], types: Sequence[str]) -> Select[Any]:
    conditions = [
        ledger_events.c.type.startswith(name, autoescape=True) if name.endswith(".") else ledger_events.c.type == name
        for name in types
    ]
    return query.where(or_(*conditions))


def _recorded(position: int, text: str) -> Recorded:
    body = _decode(text)
    return Recorded(
        position=position,
        id=body.id,
        at=body.at,
        actor=body.actor,
        type=body.type,
        version=body.version,
        subjects=body.subjects,
        because=body.because,
        data=body.data,
        before=body.before,
        after=body.after,
        idempotency_key=body.idempotency_key,
    )
