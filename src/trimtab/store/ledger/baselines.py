"""Begin to trust a ledger anew: one that is older than authentication, another history, another key.

Each is an event that says what was there, so that nobody can do it unseen.
"""

import base64
from typing import TYPE_CHECKING, ClassVar

import msgspec
from sqlalchemy import Connection, select

from trimtab.kernel import SYSTEM, Actor, Invalid
from trimtab.store.change import check_reason
from trimtab.store.events import Event, Subject
from trimtab.store.governed import RowForged, differences
from trimtab.store.ledger.head import head_in, size_of
from trimtab.store.ledger.notes import Checkpoint, PublicKey
from trimtab.store.ledger.proofs import root_at
from trimtab.store.ledger.prove import Nodes
from trimtab.store.ledger.tree import Frontier
from trimtab.store.tables import ledger_events

if TYPE_CHECKING:
    from trimtab.store.opened import Store


class LedgerAdopted(Event, frozen=True, kw_only=True):
    """From here on each event is authenticated. Of the ``size`` events before it the first ``signed`` are signed."""

    type: ClassVar[str] = "store.ledger-adopted"

    ledger: str
    size: int
    root: str
    signed: int

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("ledger", self.ledger),)


class HistoryAccepted(Event, frozen=True, kw_only=True):
    """Somebody goes on with another history than the one that was seen here: an older database was restored."""

    type: ClassVar[str] = "store.history-accepted"

    ledger: str
    seen_size: int
    seen_root: str
    found_size: int
    found_root: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("ledger", self.ledger),)


class KeyReplaced(Event, frozen=True, kw_only=True):
    """Another key signs and authenticates from here on. Both keys have signed that, unless the old one was lost.

    What they sign is ``statement_of`` a replacement: the ledger's name, its size and root, and both public keys.
    """

    type: ClassVar[str] = "store.key-replaced"

    ledger: str
    size: int
    root: str
    old: str
    new: str
    by_old: str | None
    by_new: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("ledger", self.ledger),)


KEY_REPLACED = KeyReplaced.type


def statement_of(*, ledger: str, size: int, root: str, old: str, new: str) -> bytes:
    """Return what the old and the new key sign when one takes the other's place."""
    return f"trimtab.key/1\n{ledger}\n{size}\n{root}\n{old}\n{new}\n".encode()


def settle_ledger(store: "Store") -> None:
    """Finish what a killed process began, and authenticate a ledger from here on that was written before events were.

    That happens once in a home: codes that were taken out of a ledger later make it no older one, nor do they for a
    home that has not seen it before, as long as an event holds digests of rows.
    """
    with store.read() as connection:
        if store.keys.is_prepared(store.origin):  # whoever replaced the key was killed before it was in its place
            store.keys.settle(store.origin, signed_by=head_in(connection).signed.key)
        event = ledger_events.c
        newest = connection.execute(select(event.code).order_by(event.position.desc()).limit(1)).first()
    if not store.has_key:
        return  # whoever has it takes care of the ledger
    if newest is None or newest.code is not None:
        store.witness.keep_authentic(store.origin)
    elif not store.witness.is_authentic(store.origin):
        with store.change(SYSTEM, "events are authenticated from here on") as change:
            if not store.authenticity.is_older(change.connection):
                return  # whoever would act on what it says is refused
            head = store.authenticity.take(change.connection)
            root = Frontier.unpack(head.size, head.frontier).root().hex()
            change.vouch_for_every_row()
            change.record(LedgerAdopted(ledger=store.origin, size=head.size, root=root, signed=head.signed.size))
        store.witness.keep_authentic(store.origin)


def check_shown(store: "Store", note: str) -> None:
    """Hold a checkpoint that a client was given earlier against the ledger; one of another ledger says nothing.

    Raises ``HistoryDiffers`` where the ledger does not go on from it, and ``Invalid`` for what is no checkpoint.
    """
    shown = Checkpoint.parse(note)
    if shown.origin == store.origin:
        with store.read() as connection:
            store.authenticity.check_shown(connection, shown, size_of(connection))


def accept_history(store: "Store", *, actor: Actor, because: str) -> HistoryAccepted:
    """Go on with the history that the database holds, although this home has seen a newer or another one.

    Every event of it is authentic; it is only not the newest. Raises ``Invalid`` where it is the one that was seen, or
    without a reason.
    """
    check_reason(because, "trimtab ledger accept")
    with store.change(actor, because) as change:
        size, root = _end(change.connection)
        seen = store.authenticity.unlike(change.connection, size)
        if seen is None:
            raise Invalid(
                "there is nothing to accept",
                where="trimtab ledger accept",
                why="The database holds the history that this home has seen.",
                next="trimtab verify",
            )
        store.authenticity.accept(change.connection)
        event = HistoryAccepted(
            ledger=store.origin, seen_size=seen.size, seen_root=seen.root.hex(), found_size=size, found_root=root.hex()
        )
        change.record(event)
    store.witness.forget(store.origin)
    store.checkpoint()
    return event


def replace_key(store: "Store", *, actor: Actor, because: str, token: str = "") -> KeyReplaced:
    """Let a new key sign and authenticate from here on; the old one stays in the home, and signs that too.

    ``token`` is the address of the PKCS#11 token that keeps the new one; without it a file does.

    Without the old one the event says so, and what was before is under no key that this home has. Other homes need a
    copy of the new file, and are stopped before. Raises ``Invalid`` without a reason.
    """
    check_reason(because, "trimtab ledger new-key")
    old = store.keys.find(store.origin)
    if old is None:
        with store.read() as connection:
            signed_by = store.authenticity.take(connection).signed.key
    else:
        signed_by = store.checkpoint().key
        with store.read() as connection:
            for difference in differences(connection):
                raise RowForged(difference, where="trimtab ledger new-key")
    new = store.keys.new(store.origin, token=token)
    _refuse_used(store, new.public, signed_by)
    store.keys.prepare(new)
    with store.authenticity.under(new, after=signed_by), store.change(actor, because) as change:
        size, root = _end(change.connection)
        ledger, root_text, public = store.origin, root.hex(), str(new.public)
        statement = statement_of(ledger=ledger, size=size, root=root_text, old=signed_by, new=public)
        event = KeyReplaced(
            ledger=ledger, size=size, root=root_text, old=signed_by, new=public,
            by_old=None if old is None else _text(old.signature(statement)), by_new=_text(new.signature(statement)),
        )  # fmt: skip
        change.vouch_for_every_row()
        change.record(event)
    store.keys.settle(store.origin, signed_by=str(new.public))
    return event


def _refuse_used(store: "Store", new: PublicKey, signed_by: str) -> None:
    """Raise ``Invalid`` for a key that this ledger has, or had: what was taken away from it does not come back."""
    with store.read() as connection:
        bodies = connection.execute(select(ledger_events.c.body).where(ledger_events.c.type == KEY_REPLACED)).scalars()
        used = {signed_by}.union(*((said.old, said.new) for said in (_decode(body).data for body in bodies)))
    if str(new) in used:
        raise Invalid(
            "this key has signed the ledger before",
            where="trimtab ledger new-key",
            why="A key is replaced for good, as somebody may have learnt what was made under it.",
            next="name another key, or none and let the token make it",
        )


class _Body(msgspec.Struct):
    data: KeyReplaced


_decode = msgspec.json.Decoder(_Body).decode


def replaced_by(old: PublicKey, body: str) -> PublicKey | None:
    """Return the key that took an old one's place by an event's body; None unless both have signed that."""
    try:
        said = _decode(body).data
        new = PublicKey.parse(said.new)
    except (msgspec.DecodeError, Invalid):
        return None
    statement = statement_of(ledger=said.ledger, size=said.size, root=said.root, old=said.old, new=said.new)
    right = said.old == str(old) and said.ledger == old.name == new.name
    right = right and old.has_signed(statement, said.by_old or "") and new.has_signed(statement, said.by_new)
    return new if right else None


def _end(connection: Connection) -> tuple[int, bytes]:
    size = size_of(connection)
    return size, root_at(Nodes(connection), size)


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode()
