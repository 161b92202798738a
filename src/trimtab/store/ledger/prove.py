"""Make proofs about the ledger of a store, which anybody can check with nothing but a signed checkpoint."""

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, select

from trimtab.kernel import Invalid, NotFound
from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.head import size_of
from trimtab.store.ledger.notes import Checkpoint, PublicKey
from trimtab.store.ledger.proofs import consistency_path, includes, inclusion_path, is_consistent, root_at
from trimtab.store.ledger.tree import TILE_HEIGHT, leaf_hash, node_hash
from trimtab.store.tables import ledger_checkpoints, ledger_events, ledger_tiles

if TYPE_CHECKING:
    from trimtab.store.opened import Store


class InclusionProof(msgspec.Struct, frozen=True, kw_only=True):
    """That an event stands at ``position`` in the first ``size`` events of a ledger.

    ``entry`` is the event as the tree holds it, ``path`` the hashes from its leaf to the root, ``checkpoint`` the
    signed note for that size ("" when none was signed yet).
    """

    origin: str
    position: int
    size: int
    entry: str
    path: tuple[bytes, ...]
    checkpoint: str = ""

    def leads_to(self, root: bytes) -> bool:
        """Say whether the proof leads from its entry to a root that you trust."""
        leaf = leaf_hash(self.entry.encode())
        return includes(leaf=leaf, position=self.position, size=self.size, path=self.path, root=root)

    def holds(self, *, key: str) -> bool:
        """Say whether the event is under the proof's own checkpoint, and that is signed by a public key you trust."""
        if not self.checkpoint:
            return False
        checkpoint, public = Checkpoint.parse(self.checkpoint), PublicKey.parse(key)
        return (
            (checkpoint.origin, checkpoint.size) == (self.origin, self.size)
            and public.name == self.origin
            and public.signed(self.checkpoint) is True
            and self.leads_to(checkpoint.root)
        )


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the ledger of ``size`` events begins with the same events as when it had ``old_size``."""

    origin: str
    old_size: int
    size: int
    path: tuple[bytes, ...]

    def links(self, *, old_root: bytes, root: bytes) -> bool:
        """Say whether the proof leads from the old root to the new one."""
        return is_consistent(old_size=self.old_size, old_root=old_root, size=self.size, root=root, path=self.path)


class Nodes:
    """The hashes of complete subtrees, read from the rows of a ledger: a few hundred for any proof."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, height: int, index: int) -> bytes:
        """Return the root of the ``2**height`` leaves that start at ``index * 2**height``."""
        count = 1 << height % TILE_HEIGHT
        hashes = self._stored(height // TILE_HEIGHT, index * count, count)
        while len(hashes) > 1:
            hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
        return hashes[0]

    def _stored(self, level: int, first: int, count: int) -> list[bytes]:
        last = first + count - 1
        if level == 0:
            at = ledger_events.c.position
            query = select(ledger_events.c.leaf).where(at.between(first, last)).order_by(at)
        else:
            at = ledger_tiles.c.number
            query = select(ledger_tiles.c.root).where(ledger_tiles.c.level == level, at.between(first, last))
            query = query.order_by(at)
        found = list(self._connection.execute(query).scalars())
        if len(found) != count:
            raise Invalid(
                "the ledger has a gap",
                where=f"ledger level {level}, {first} to {last}",
                why="A proof needs hashes that are not there.",
                next="trimtab verify",
            )
        return found


def inclusion_proof(store: "Store", position: int, *, size: int | None = None) -> InclusionProof:
    """Prove that the event at ``position`` is in the ledger.

    ``size`` is the tree that the proof is about; without it that is the newest signed one, or the whole ledger when
    the event is newer. Raises ``NotFound`` for a position that does not exist yet.
    """
    store.sequence()
    with store.read() as connection:
        whole = size_of(connection)
        if not 0 <= position < whole:
            raise _no_event(position, whole)
        signed = connection.execute(
            select(ledger_checkpoints.c.size, ledger_checkpoints.c.note).order_by(ledger_checkpoints.c.tile.desc())
        ).first()
        chosen = size or (signed.size if signed and signed.size > position else whole)
        if not position < chosen <= whole:
            raise _no_size(chosen, whole)
        note = connection.execute(select(ledger_checkpoints.c.note).where(ledger_checkpoints.c.size == chosen)).scalar()
        body = connection.execute(select(ledger_events.c.body).where(ledger_events.c.position == position)).scalar_one()
        path = inclusion_path(Nodes(connection), position, chosen)
    store.database.flush()  # who keeps the checkpoint must not know of more than a power failure leaves here
    return InclusionProof(
        origin=store.origin,
        position=position,
        size=chosen,
        entry=entry(body.encode(), position).decode(),
        path=tuple(path),
        checkpoint=note or "",
    )


def consistency_proof(store: "Store", old_size: int, *, size: int | None = None) -> ConsistencyProof:
    """Prove that the ledger of ``size`` events (default: all) begins with the first ``old_size`` unchanged."""
    store.sequence()
    with store.read() as connection:
        whole = size_of(connection)
        chosen = whole if size is None else size
        if not 0 <= old_size <= chosen <= whole:
            raise _no_size(max(old_size, chosen), whole)
        path = consistency_path(Nodes(connection), old_size, chosen)
    return ConsistencyProof(origin=store.origin, old_size=old_size, size=chosen, path=tuple(path))


def ledger_root(store: "Store", *, size: int | None = None) -> bytes:
    """Return the root of the first ``size`` events (default: all)."""
    store.sequence()
    with store.read() as connection:
        whole = size_of(connection)
        chosen = whole if size is None else size
        if not 0 <= chosen <= whole:
            raise _no_size(chosen, whole)
        return root_at(Nodes(connection), chosen)


def _no_event(position: int, size: int) -> NotFound:
    return NotFound(
        f"there is no event {position}",
        where="ledger",
        why=f"The ledger holds {size} events, counted from 0.",
        next="trimtab get events",
    )


def _no_size(asked: int, size: int) -> Invalid:
    return Invalid(
        f"there is no such tree of {asked} events",
        where="ledger",
        why=f"The ledger holds {size} events; an older tree is smaller, and holds the event that is asked for.",
        next=f"ask for a size up to {size}",
    )
