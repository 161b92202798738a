"""What authentic events tell of a thing, for whoever acts on rows whose events hold digests of what they say."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from trimtab.kernel import Actor
from trimtab.store.governed import OPTION, Governed
from trimtab.store.ledger.authentic import BASELINES
from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.records import pending_of
from trimtab.store.ledger.tree import leaf_hash
from trimtab.store.tables import ledger_events, ledger_outbox, ledger_subjects


class Told(msgspec.Struct, frozen=True):
    """An event that Trimtab recorded: who did what, why, and what the event holds."""

    type: str
    actor: Actor
    because: str
    data: dict[str, Any]


_told = msgspec.json.Decoder(Told).decode


def told_of(connection: Connection, kind: str, id: str, *, types: Collection[str]) -> list[Told]:
    """Return the events of some types that are about a thing, the oldest first, those too that have no position yet.

    Raises ``EventForged`` for one that Trimtab did not record, and ``KeyMissing`` in a home that cannot tell. Events
    from before the ledger's key came, or was replaced, carry no code of it: they are taken as they are, as the tree
    holds them.
    """
    governed: Governed = connection.get_execution_options()[OPTION]
    authenticity = governed.authenticity
    event, about = ledger_events.c, ledger_subjects.c
    since = connection.execute(select(func.max(event.position)).where(event.rules, event.type.in_(BASELINES))).scalar()
    query = (
        select(event.position, event.ruled_before, event.body, event.code)
        .join(ledger_subjects, about.position == event.position)
        .where(about.kind == kind, about.id == id, event.type.in_(types))
        .order_by(event.position)
    )
    bodies: list[str] = []
    for position, before, body, code in connection.execute(query):
        if since is None or position >= since:
            authenticity.check_event(position, before, leaf_hash(entry(body.encode(), position)), code)
        bodies.append(body)
    if connection.dialect.name != "sqlite":
        waiting = connection.execute(select(ledger_outbox.c.bodies, ledger_outbox.c.code).order_by(ledger_outbox.c.seq))
        for some, code in waiting:
            if authenticity.is_waiting(some, code):
                bodies += [body for body in some.split("\n") if _is_about(body, kind, id, types)]
    return [_told(body) for body in bodies]


def _is_about(body: str, kind: str, id: str, types: Collection[str]) -> bool:
    found = pending_of(body.encode())
    return found.type in types and any((subject.kind, subject.id) == (kind, id) for subject in found.subjects)
