"""Events, tokens, legal holds, and attempts that were refused."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun, missing
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.kernel import Invalid
from trimtab.server import list_refusals, list_tokens
from trimtab.store import Hold, event_at, events, list_holds


def _events(session: Session, asked: Asked) -> Any:
    if asked.name.isdigit():
        return session.ask(event_at, int(asked.name))
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
    return session.ask(events, type=asked.name or asked.type or None, actor=asked.actor or None, subject=subject,
        since=asked.since, until=asked.until, limit=asked.limit, order="newest",
    )  # fmt: skip


def _events_then(session: Session, asked: Asked) -> Any:
    """Events never change: those that had been recorded."""
    assert asked.at is not None
    if asked.name.isdigit():
        found = session.ask(event_at, int(asked.name))
        return past.then(found, lambda e: e.at, noun="events", asked=asked)
    return _events(session, past.until_then(asked))


def _tokens(session: Session, asked: Asked) -> Any:
    found = [token for token in session.ask(list_tokens) if asked.name in ("", token.name, token.id)]
    if asked.name and not found:
        raise missing("tokens", asked.name, why="No token was issued with this id or name.")
    return found


def _holds(session: Session, asked: Asked) -> Any:
    return _named(session.ask(list_holds), asked)


def _holds_then(session: Session, asked: Asked) -> Any:
    """Holds are only added to: those that had been made, and had been ended, by then."""
    assert asked.at is not None
    made = [hold for hold in session.ask(list_holds) if hold.made_at <= asked.at]
    still = {"ended_at": None, "ended_by": None, "ended_because": None}
    return _named(
        [
            msgspec.structs.replace(hold, **still) if hold.ended_at is not None and hold.ended_at > asked.at else hold
            for hold in made
        ],
        asked,
    )


def _named(holds: Sequence[Hold], asked: Asked) -> Any:
    found = [hold for hold in holds if asked.name in ("", hold.id, hold.subject)]
    if asked.name and not found:
        raise missing("holds", asked.name, why="No hold was made with this id, or on this.")
    return found


def _refusals(session: Session, asked: Asked) -> Any:
    if asked.name:
        raise missing("refusals", asked.name, why="Refused attempts are counted by the hour, and have no name.")
    return session.ask(list_refusals, limit=asked.limit)


NOUNS = {
    "events": Noun(
        find=_events,
        takes=frozenset({"type", "actor", "subject", "since", "until"}),
        columns=[
            Column("POSITION", lambda e: e.position, number=True), Column("AT", lambda e: e.at),
            Column("ACTOR", lambda e: str(e.actor)), Column("TYPE", lambda e: e.type),
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
            Column("ISSUED BY", lambda t: ", by ".join(t.actor.issuers) or None),
            Column("MAY", lambda t: " ".join(t.may)), Column("CREATED", lambda t: t.created_at),
            Column("EXPIRES", lambda t: t.expires_at), Column("REVOKED", lambda t: t.revoked_at),
        ],
        empty="No token yet:\n  trimtab token create NAME",
        past=past.tokens,
    ),
    "holds": Noun(
        find=_holds,
        columns=[
            Column("ID", lambda h: h.id), Column("ON", lambda h: h.subject), Column("STATE", lambda h: h.state),
            Column("MADE", lambda h: h.made_at), Column("BY", lambda h: h.by), Column("BECAUSE", lambda h: h.because),
            Column("ENDED", lambda h: h.ended_at), Column("ENDED BECAUSE", lambda h: h.ended_because),
        ],
        empty="Nothing is held: trimtab hold create model:NAME --because REASON",
        past=_holds_then,
    ),
    "refusals": Noun(
        find=_refusals,
        columns=[
            Column("HOUR", lambda r: r.hour), Column("CODE", lambda r: r.code), Column("ACTOR", lambda r: r.actor),
            Column("ASKED", lambda r: r.asked), Column("ABOUT", lambda r: r.about or None),
            Column("TIMES", lambda r: r.count, number=True), Column("LAST", lambda r: r.last_at),
        ],
        empty="Nobody was refused anything.",
    ),
}  # fmt: skip
