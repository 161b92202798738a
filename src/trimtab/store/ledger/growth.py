"""How new events make the tree grow: their positions, their leaves, the tiles they complete, the next checkpoint."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from trimtab.store.failures import RowsDamaged
from trimtab.store.ledger.notes import SigningKey
from trimtab.store.ledger.records import Head, Pending, Signed
from trimtab.store.ledger.tree import HASH_BYTES, TILE, Frontier, TileRoot, leaf_hash

EVENT_COLUMNS = "position, id, at, actor, type, idempotency_key, body, leaf, rules, ruled_before, code"
Code = Callable[[int, int, bytes], bytes]
"""Authenticates an event by its position, the event that ruled before it, and its leaf."""


class Growth(msgspec.Struct, frozen=True):
    """The rows that new events add, the tree after them, and the newest event that rules over rows (-1: none)."""

    events: list[tuple[Any, ...]]
    subjects: list[tuple[int, str, str]]
    tiles: list[TileRoot]
    frontier: Frontier
    ruled: int


def entry(body: bytes, position: int) -> bytes:
    """Return the bytes that the tree hashes: canonical JSON of the event and its position."""
    return b'{"event":%b,"position":%d}' % (body, position)


def grow(frontier: Frontier, events: Iterable[Pending], *, ruled: int, code: Code) -> Growth:
    """Let a tree grow: give each event its position (the first is 0), its leaf, and its code."""
    rows: list[tuple[Any, ...]] = []
    subjects: list[tuple[int, str, str]] = []
    tiles: list[TileRoot] = []
    for event in events:
        position = frontier.size
        leaf = leaf_hash(entry(event.body, position))
        tiles += frontier.add(leaf)
        rows.append(
            (
                position, event.id, event.at, event.actor, event.type, event.idempotency_key, event.body.decode(),
                leaf, event.rules, ruled, code(position, ruled, leaf),
            )
        )  # fmt: skip
        about = [(position, subject.kind, subject.id) for subject in event.subjects]
        subjects += about if len(about) < 2 else dict.fromkeys(about)
        ruled = position if event.rules else ruled
    return Growth(rows, subjects, tiles, frontier, ruled)


def head_of(row: Sequence[Any] | None) -> Head:
    """Return the head that a row holds, its checkpoint's parts last. Raises ``RowsDamaged`` when it is none."""
    if row is None:
        raise RowsDamaged("the ledger has no head", where="store.ledger")
    origin, size, frontier, *signed = row
    if not isinstance(size, int) or size < 0 or len(frontier) != size.bit_count() * HASH_BYTES:
        raise RowsDamaged("the ledger's head does not fit its size", where="store.ledger")
    return Head(origin, size, frontier, Signed(*signed))


def is_due(head: Head, frontier: Frontier) -> bool:
    """Say whether the ledger has grown past a multiple of 256 since it was signed."""
    return frontier.size // TILE > head.signed.size // TILE


def sign(key: SigningKey, frontier: Frontier) -> Signed:
    """Sign the tree as it is now."""
    return Signed(frontier.size, key.checkpoint(frontier.size, frontier.root()), str(key.public))
