"""Let go of what is old and needed by nothing: rows first, each batch in one change with its event, then blobs.

Each room says by a ``Rule`` what it has to let go, and what it needs of other rooms' things. What a thing is of is said
by names, ``kind:id``, the same that legal holds are made on: ``snapshot:snap_1``, ``source:flights``, ``run:01J...``.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec
from sqlalchemy import Connection, text

from trimtab.kernel import Actor, Conflict, Invalid, SystemClock, lock, span_of
from trimtab.store.change import Change
from trimtab.store.events import Event, Recorded, Subject
from trimtab.store.holds import ALL, active_holds, one_at_a_time
from trimtab.store.ledger.listing import events
from trimtab.store.sweep import sweep

if TYPE_CHECKING:
    from trimtab.store.opened import Store

ATTEMPTS, LOGS, SNAPSHOTS, RUNS = "attempts", "logs", "snapshots", "runs"
DECISIONS, GOVERNED_DECISIONS = "decisions", "governed_decisions"
CLASSES = (ATTEMPTS, LOGS, SNAPSHOTS, RUNS, DECISIONS, GOVERNED_DECISIONS)
"""What is let go of at one age, each after the setting ``keep_...`` that says it."""
_FIRST = datetime.min.replace(tzinfo=UTC)
_machine = SystemClock()
"""Blobs know only when their machine wrote them."""
_LOCK = "hashtextextended(current_schema() || '.gc', 0)"


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is old enough to be let go: since when it is of no use, its bytes, and what it is of.

    The first of ``of`` names it; any of them may be needed, or held.
    """

    of: tuple[str, ...]
    since: datetime
    size_bytes: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What goes: the first of ``of``, and all that is of its kind."""
        kind = self.of[0].partition(":")[0]
        return tuple(name for name in self.of if name.partition(":")[0] == kind)


class Rule(Protocol):
    """What one room has to let go of: ``what`` in words, of the class ``name``; at most ``at_once`` in one change."""

    name: str
    what: str
    at_once: int

    def old(self, connection: Connection, *, before: datetime) -> Iterable[Old]:
        """Yield what has been of no use since before a moment of the project's clock, the oldest first."""
        ...

    def remove(self, change: Change, some: Sequence[Old]) -> None:
        """Remove the rows of these; the event is recorded by who calls it."""
        ...

    def finish(self, some: Sequence[Old]) -> None:
        """Remove what is no row, after the change. May be repeated: after a crash the same are old again."""
        ...


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of a project, and who has a say in them.

    ``needs`` tell what must stay, by name; ``covers`` tells what a hold on something keeps; ``writing_since`` tells
    since when something is being written whose rows are not there yet (None: nothing is).
    """

    rules: tuple[Rule, ...]
    needs: tuple[Callable[[Connection], Iterable[str]], ...]
    covers: Callable[[Connection, str], Iterable[str]]
    writing_since: Callable[[Connection], datetime | None]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one kind is let go of: how many and how many bytes, since when the oldest is of no use.

    ``needed`` and ``held`` are as old, and stay: something needs them, or a hold keeps them. ``before``: what is of no
    use since before then is old; None when the class is kept for ever.
    """

    name: str
    what: str
    age: str
    before: datetime | None = None
    count: int = 0
    size_bytes: int = 0
    oldest: datetime | None = None
    needed: int = 0
    held: int = 0


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What a gc would let go of, or has (``done``), and the holds that were in force."""

    at: datetime
    done: bool
    items: tuple[Found, ...]
    holds: tuple[str, ...] = ()


class Removed(Event, frozen=True, kw_only=True):
    """Things were let go of, being older than the age of their class and needed by nothing."""

    type: ClassVar[str] = "store.removed"
    rule: str
    what: str
    age: str
    cutoff: datetime
    count: int
    size_bytes: int
    names: tuple[str, ...]

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("rule", self.rule), *(Subject(*name.split(":", 1)) for name in self.names))


class AnotherCollects(Conflict):
    """Two would remove the same, and one would count what the other has removed."""

    code = "store.gc-running"
    default_why = "One gc at a time removes something."
    default_next = "wait for it to end, then: trimtab gc --dry-run"


def preview(store: "Store", retention: Retention, *, classes: Sequence[str] = ()) -> Collection:
    """Say what ``collect`` would let go of now, and change nothing. Raises ``RowForged`` as it does."""
    at = store.clock.now()
    with store.read() as connection:
        holds = tuple(hold.subject for hold in active_holds(connection))
        found = [_seen(store, connection, rule, retention, at=at) for rule in _chosen(retention, classes)]
    if ATTEMPTS in _named(classes):
        found.append(_blobs(store, retention, holds, actor=None))
    return Collection(at=at, done=False, items=tuple(found), holds=holds)


def collect(
    store: "Store", retention: Retention, *, actor: Actor, because: str, classes: Sequence[str] = ()
) -> Collection:
    """Let go of what is older than its class's age (all classes when none is named), and return what it was.

    Never removed is what a registered version, something in use, or a hold needs; that is looked up again inside each
    change. Killed at any moment it has removed what its events say, or will when it is called again. Raises
    ``AnotherCollects``, and ``RowForged`` when a hold, a version, a policy or a turn is not what the ledger says:
    before anything is removed, and nothing more when that comes later.
    """
    at = store.clock.now()
    with _alone(store):
        with store.read() as connection:  # of what is forged, nothing tells how much it decides
            for rule in _chosen(retention, classes):
                _seen(store, connection, rule, retention, at=at)
        found = [
            _let_go(store, rule, retention, at=at, actor=actor, because=because) for rule in _chosen(retention, classes)
        ]
        with store.read() as connection:
            holds = tuple(hold.subject for hold in active_holds(connection))
        if ATTEMPTS in _named(classes):
            found.append(_blobs(store, retention, holds, actor=actor, because=because))
    return Collection(at=at, done=True, items=tuple(found), holds=holds)


def removal_of(store: "Store", *names: str) -> Recorded | None:
    """Return the newest event with which one of these was removed, None when none was."""
    for name in names:
        kind, _, id_ = name.partition(":")
        found = events(store, type=Removed.type, subject=(kind, id_[:200]), order="newest", limit=1)
        if found:
            return found[0]
    return None


def why_gone(store: "Store", name: str) -> dict[str, str]:
    """Return the parts of an error that say when and why something was removed; none when it was not."""
    event = removal_of(store, name)
    if event is None:
        return {}
    data = event.data
    return {
        "why": f"It was removed on {event.at:%Y-%m-%d %H:%M:%S} UTC by {event.actor}, as {data['rule']} are kept for "
        f"{data['age']}: {event.because}.",
        "next": f"trimtab get events {event.position}; a backup from before then has it: trimtab restore",
    }


def _seen(store: "Store", connection: Connection, rule: Rule, retention: Retention, *, at: datetime) -> Found:
    """Return the count of what a rule would let go of now."""
    age, before = _age_of(store, rule.name, at)
    if before is None:
        return Found(name=rule.name, what=rule.what, age=age)
    return _sorted_out(connection, rule, retention, age=age, before=before)[1]


def _let_go(store: "Store", rule: Rule, retention: Retention, *, at: datetime, actor: Actor, because: str) -> Found:
    age, before = _age_of(store, rule.name, at)
    total, gone = Found(name=rule.name, what=rule.what, age=age, before=before), set[str]()
    while before is not None:
        with store.change(actor, because) as change:
            one_at_a_time(change)
            found, seen = _sorted_out(change.connection, rule, retention, age=age, before=before)
            old = [one for one in found if gone.isdisjoint(one.names)]  # a file may not be removable
            some = old[: rule.at_once]
            names = tuple(name for one in some for name in one.names)
            if some:
                rule.remove(change, some)
                change.record(
                    Removed(
                        rule=rule.name, what=rule.what, age=age, cutoff=before, count=len(names),
                        size_bytes=sum(one.size_bytes for one in some), names=names,
                    )
                )  # fmt: skip
        rule.finish(some)
        gone.update(names)
        total = _with(msgspec.structs.replace(total, needed=seen.needed, held=seen.held), some)
        if len(old) == len(some):
            break
    return total


def _sorted_out(
    connection: Connection, rule: Rule, retention: Retention, *, age: str, before: datetime
) -> tuple[list[Old], Found]:
    """Return what a rule may let go of, and the count of that and of what stays although it is old."""
    held = {hold.subject for hold in active_holds(connection)}
    held |= {name for subject in held for name in retention.covers(connection, subject)}
    needed = {name for tell in retention.needs for name in tell(connection)}
    old, kept_back, wanted = [], 0, 0
    for one in rule.old(connection, before=before):
        if not held.isdisjoint((ALL, f"class:{rule.name}", *one.of)):
            kept_back += len(one.names)
        elif not needed.isdisjoint(one.of):
            wanted += len(one.names)
        else:
            old.append(one)
    found = Found(name=rule.name, what=rule.what, age=age, before=before, needed=wanted, held=kept_back)
    return old, _with(found, old)


def _with(found: Found, some: Sequence[Old]) -> Found:
    """Return the count with some more that go."""
    return msgspec.structs.replace(
        found,
        count=found.count + sum(len(one.names) for one in some),
        size_bytes=found.size_bytes + sum(one.size_bytes for one in some),
        oldest=min((one.since for one in some), default=None) if found.oldest is None else found.oldest,
    )


def _blobs(
    store: "Store", retention: Retention, holds: Sequence[str], *, actor: Actor | None, because: str = ""
) -> Found:
    """Sweep blobs that no row names. Under a hold on everything none is touched."""
    age, before = _age_of(store, ATTEMPTS, _machine.now())
    found = Found(name=ATTEMPTS, what="blobs that no row names", age=age, before=before)
    if before is None:
        return found
    with store.read() as connection:
        writing = retention.writing_since(connection)
    if writing is not None:  # on the project's clock, which may show another time than the machine's
        before = min(before, _machine.now() - max(store.clock.now() - writing, timedelta(0)))
    swept = sweep(store, before=before, age=age, actor=None if ALL in holds else actor, because=because)
    found = msgspec.structs.replace(found, before=before)
    if ALL in holds:
        return msgspec.structs.replace(found, held=swept.count)
    return msgspec.structs.replace(found, count=swept.count, size_bytes=swept.size_bytes, oldest=swept.oldest)


def _age_of(store: "Store", name: str, at: datetime) -> tuple[str, datetime | None]:
    """Return the age of a class as it is set, and the moment before which it is reached; None: it is kept for ever."""
    age: str = getattr(store.settings, f"keep_{name}")
    span = span_of(age)
    return age, None if span is None else at - min(span, at - _FIRST)


def _named(classes: Sequence[str]) -> Sequence[str]:
    for name in classes:
        if name not in CLASSES:
            raise Invalid(
                f"{name[:40]!r} is no class of things that are let go",
                where="option --class",
                why="Each class has an age of its own, in the setting keep_ and its name.",
                next=f"use one of: {', '.join(CLASSES)}",
            )
    return classes or CLASSES


def _chosen(retention: Retention, classes: Sequence[str]) -> Iterator[Rule]:
    named = _named(classes)
    return (rule for rule in retention.rules if rule.name in named)


@contextmanager
def _alone(store: "Store") -> Iterator[None]:
    """Be the only gc of a database. Raises ``AnotherCollects``. Whoever is killed lets go of it."""
    if store.database.is_sqlite:
        opened = os.open(store.settings.home_path / "gc.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _refuse_unless(lock(opened))
            yield
        finally:
            os.close(opened)
        return
    with store.database.by_hand() as connection:
        _refuse_unless(bool(connection.execute(text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar_one()))
        try:
            yield
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))


def _refuse_unless(free: bool) -> None:
    if not free:
        raise AnotherCollects("another gc is at work", where="trimtab gc")
