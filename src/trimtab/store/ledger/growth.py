"""How new events make the tree grow: their positions, their leaves, the tiles they complete, the next checkpoint."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from trimtab.store.failures import RowsDamaged
from trimtab.store.ledger.keys import Keys
from trimtab.store.ledger.records import Head, Pending, Signed
from trimtab.store.ledger.tree import HASH_BYTES, TILE, Frontier, TileRoot, leaf_hash

EVENT_COLUMNS = "position, id, at, actor, type, idempotency_key, body, leaf"


class Growth(msgspec.Struct, frozen=True):
    """The rows that new events add, and the tree after them."""

    events: list[tuple[Any, ...]]
    subjects: list[tuple[int, str, str]]
    tiles: list[TileRoot]
    frontier: Frontier


def entry(body: bytes, position: int) -> bytes:
    """Return the bytes that the tree hashes: canonical JSON of the event and its position."""
    return b'{"event":%b,"position":%d}' % (body, position)


def grow(head: Head, events: Iterable[Pending]) -> Growth:
    """Give each event its position (the first is 0) and its leaf. Raises ``RowsDamaged`` for a head that is none."""
    if not isinstance(head.size, int) or len(head.frontier) != head.size.bit_count() * HASH_BYTES:
        raise RowsDamaged("the ledger's head does not fit its size", where="store.ledger")
    frontier = Frontier.unpack(head.size, head.frontier)
    growth = Growth([], [], [], frontier)
    for event in events:
        position = frontier.size
        leaf = leaf_hash(entry(event.body, position))
        growth.tiles.extend(frontier.add(leaf))
        growth.events.append(
            (position, event.id, event.at, event.actor, event.type, event.idempotency_key, event.body.decode(), leaf)
        )
        growth.subjects.extend([(position, kind, id_) for kind, id_ in dict.fromkeys(event.subjects)])
    return growth


def head_of(row: Sequence[Any] | None) -> Head:
    """Return the head that a row holds, its checkpoint's parts last. Raises ``RowsDamaged`` when there is none."""
    if row is None:
        raise RowsDamaged("the ledger has no head", where="store.ledger")
    origin, size, frontier, *signed = row
    return Head(origin, size, frontier, Signed(*signed))


def is_due(head: Head, frontier: Frontier) -> bool:
    """Say whether the ledger has grown past a multiple of 256 since it was signed."""
    return frontier.size // TILE > head.signed.size // TILE


def sign(head: Head, frontier: Frontier, keys: Keys) -> Signed:
    """Sign the tree as it is now."""
    key = keys.of(head.origin)
    return Signed(frontier.size, key.checkpoint(frontier.size, frontier.root()), str(key.public))
