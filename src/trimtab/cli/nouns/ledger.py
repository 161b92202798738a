"""Events and tokens."""

from typing import Any

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun, missing
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.kernel import Invalid
from trimtab.server import list_tokens
from trimtab.store import event_at, events


def _events(session: Session, asked: Asked) -> Any:
    if asked.name.isdigit():
        return event_at(session.store, int(asked.name))
    if asked.name and asked.type:
        raise Invalid(
            f"events of two types are asked for: {asked.name[:80]} and {asked.type[:80]}",
            where="trimtab get events, option --type",
            why="The word after the noun is a type too.",
            next=f"trimtab get events --type {asked.type[:80]}",
        )
    subject = None
    if asked.subject:
        kind, colon, id_ = asked.subject.partition(":")
        if not colon:
            raise Invalid(
                f"{asked.subject[:80]!r} names no subject",
                where="option --subject",
                why="A subject is a kind and an id.",
                next="trimtab get events --subject version:late@1",
            )
        subject = (kind, id_)
    return events(
        session.store, type=asked.name or asked.type or None, actor=asked.actor or None, subject=subject,
        since=asked.since, until=asked.until, limit=asked.limit, order="newest",
    )  # fmt: skip


def _events_then(session: Session, asked: Asked) -> Any:
    """Events never change: those that had been recorded."""
    assert asked.at is not None
    if asked.name.isdigit():
        found = event_at(session.store, int(asked.name))
        return past.then(found, lambda e: e.at, noun="events", asked=asked)
    return _events(session, past.until_then(asked))


def _tokens(session: Session, asked: Asked) -> Any:
    found = [token for token in list_tokens(session.store) if asked.name in ("", token.name, token.id)]
    if asked.name and not found:
        raise missing("tokens", asked.name, why="No token was issued with this id or name.")
    return found


NOUNS = {
    "events": Noun(
        find=_events,
        takes=frozenset({"type", "actor", "subject", "since", "until"}),
        columns=[
            Column("POSITION", lambda e: e.position, number=True), Column("AT", lambda e: e.at),
            Column("ACTOR", lambda e: e.actor.id), Column("TYPE", lambda e: e.type),
            Column("ABOUT", lambda e: ", ".join(f"{s.kind} {s.id}" for s in e.subjects)),
            Column("BECAUSE", lambda e: e.because or None),
        ],
        empty="Nothing was recorded, or nothing that matches.",
        past=_events_then,
    ),
    "tokens": Noun(
        find=_tokens,
        columns=[
            Column("ID", lambda t: t.id), Column("NAME", lambda t: t.name), Column("ACTS AS", lambda t: t.actor.id),
            Column("SCOPE", lambda t: t.permission.value), Column("CREATED", lambda t: t.created_at),
            Column("EXPIRES", lambda t: t.expires_at), Column("REVOKED", lambda t: t.revoked_at),
        ],
        empty="No token yet:\n  trimtab token create NAME",
        past=past.tokens,
    ),
}  # fmt: skip
