"""Move a store to another database and another place for its blobs, with everything that was ever recorded."""

from contextlib import suppress
from typing import ClassVar

from trimtab.kernel import Actor, Conflict, Invalid, Settings
from trimtab.store.admission import ClosedAs, Closing, close, closing_of, refusal, reopen
from trimtab.store.arriving import fill, head_in, is_complete, make_ready, unchecked
from trimtab.store.blobs import Blobs, blobs_of
from trimtab.store.carrying import Told, copy_blobs
from trimtab.store.change import AlreadyDone
from trimtab.store.database import Database
from trimtab.store.events import Event, Subject
from trimtab.store.ledger.verify import Verification, verify
from trimtab.store.opened import Store, open_store, place_of, url_of


class StoreMoved(Event, frozen=True, kw_only=True):
    """The ledger and everything else lie at another place from here on; ``size`` events came there, with ``root``."""

    type: ClassVar[str] = "store.moved"
    origin: str
    source: str
    target: str
    size: int
    root: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("ledger", self.origin),)


class StoreReopened(Event, frozen=True, kw_only=True):
    """A database that was moved away, or was on the way, takes changes again: there may be another one like it."""

    type: ClassVar[str] = "store.reopened"
    origin: str
    target: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("ledger", self.origin),)


def move(store: Store, target: Settings, *, actor: Actor, because: str, told: Told) -> Verification:
    """Move a store to the database and the blobs that ``target`` names; return what a verification there says.

    The blobs go first, while the store is in use. Then it is closed, so that nothing is written that would be missing
    there; its rows go in one transaction, are verified, and the new place is opened with an event that says so. After a
    crash at any point the same call goes on; until it is done each of the two says that it is not the one. Keys, the
    online store, open decisions and logs stay in the home. Raises ``Closed`` for a store that was moved already,
    ``HoldsSomething`` for a place that is not empty, ``Damaged`` for a blob that cannot be moved.
    """
    there = name_of(target)
    if url_of(target) == url_of(store.settings):
        raise Invalid(
            "the store is there already",
            where="option --to",
            why=f"Its database is {place_of(target)}, and a move brings a store to another one.",
            next="trimtab move --to postgresql://user@host/name --blobs s3://bucket/prefix",
        )
    with unchecked(url_of(store.settings)) as source, unchecked(url_of(target)) as database:
        mark = _mark_of(source)
        if mark is not None and (mark.state == ClosedAs.MOVED or mark.other != there):
            raise refusal(mark)
        if mark is None or not _has_arrived(source, database):
            _carry(store, source, database, blobs_of(target), there=there, told=told)
        found = _opened_there(store, source, target, actor=actor, because=because)
        _close(source, store, ClosedAs.MOVED, there)
    return found


def reopen_here(store: Store, *, actor: Actor, because: str) -> str:
    """Let a store that was moved away, or is on the way, take changes again; return where it went.

    Raises ``Conflict`` for one that is open. From then on two stores may have the same ledger: the event says so.
    """
    with unchecked(url_of(store.settings)) as source:
        mark = _mark_of(source)
        if mark is None:
            raise Conflict(
                "the database is open",
                where="option --reopen",
                why="It was not moved, or it takes changes again already.",
                next="trimtab status",
            )
        with source.write() as connection:
            reopen(connection)
        try:
            with store.change(actor, because) as change:
                change.record(StoreReopened(origin=store.origin, target=mark.other))
        except BaseException:
            with source.write() as connection:
                close(connection, mark)  # without the event it stays closed
            raise
    return mark.other


def name_of(settings: Settings) -> str:
    """Return where a store lies, as people are told it: without a password."""
    database = place_of(settings) if settings.database else f"{settings.home_path}"
    return f"{database}, blobs in {settings.blobs}" if settings.blobs else database


def _carry(store: Store, source: Database, database: Database, blobs: Blobs, *, there: str, told: Told) -> None:
    with source.read() as connection:
        make_ready(database, connection, sender=name_of(store.settings), clock=store.clock)
    _bring_blobs(store, blobs, told)
    if _mark_of(source) is None:
        store.checkpoint()
        _close(source, store, ClosedAs.LEAVING, there)
    store.sequence()
    _bring_blobs(store, blobs, told)  # those that came meanwhile
    with source.read() as connection:
        fill(database, connection, told=told)


def _bring_blobs(store: Store, blobs: Blobs, told: Told) -> None:
    damaged = copy_blobs(store.blobs, blobs, told=told)
    if damaged:
        raise damaged[0]


def _opened_there(store: Store, source: Database, target: Settings, *, actor: Actor, because: str) -> Verification:
    with source.read() as connection:
        head = head_in(connection)
    moved = open_store(target, clock=store.clock)
    try:
        event = StoreMoved(
            origin=head.origin, source=name_of(store.settings), target=name_of(target), size=head.size,
            root=head.root.hex(),
        )  # fmt: skip
        with suppress(AlreadyDone), moved.change(actor, because, key=f"moved:{head.size}:{head.root.hex()}") as change:
            change.record(event)
        return verify(moved)
    finally:
        moved.close()


def _has_arrived(source: Database, database: Database) -> bool:
    with source.read() as connection:
        return is_complete(database, connection)


def _mark_of(source: Database) -> Closing | None:
    with source.read() as connection:
        return closing_of(connection)


def _close(source: Database, store: Store, state: ClosedAs, there: str) -> None:
    at = store.clock.now().isoformat(timespec="seconds")
    with source.write() as connection:
        close(connection, Closing(state, there, store.origin, at))
    source.flush()
