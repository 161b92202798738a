"""The Merkle tree of RFC 9162, section 2.1: hashes, the frontier of a growing tree, and its root."""

import hashlib
from collections.abc import Sequence

import msgspec

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE = 1 << TILE_HEIGHT
"""Leaves in a tile: the subtrees of 256, 256**2, ... leaves are the ones whose roots are kept."""

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of an entry: SHA-256 of a zero byte and the entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of a one byte and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class TileRoot(msgspec.Struct, frozen=True):
    """The root of a complete subtree of ``256**level`` leaves, the ``number``-th from the left."""

    level: int
    number: int
    root: bytes


class Frontier:
    """A growing tree of which only the roots of its complete subtrees are held, largest first: one for each set bit of
    its size."""

    __slots__ = ("roots", "size")

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        self.size = size
        self.roots = list(roots)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> "Frontier":
        """Read the form that ``pack`` writes."""
        return cls(size, [packed[i : i + HASH_BYTES] for i in range(0, len(packed), HASH_BYTES)])

    def pack(self) -> bytes:
        return b"".join(self.roots)

    def add(self, leaf: bytes) -> list[TileRoot]:
        """Add a leaf; return the roots of the tiles that it completed, smallest first."""
        completed: list[TileRoot] = []
        index, height, node, roots = self.size, 0, leaf, self.roots
        while index & 1:
            node = node_hash(roots.pop(), node)
            index >>= 1
            height += 1
            if not height % TILE_HEIGHT:
                completed.append(TileRoot(height // TILE_HEIGHT, index, node))
        roots.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the tree's root; that of an empty tree is the hash of nothing."""
        if not self.roots:
            return EMPTY_ROOT
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = node_hash(left, node)
        return node
