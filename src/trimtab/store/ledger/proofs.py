"""Proofs of RFC 9162, sections 2.1.3 and 2.1.4: that an event is in a tree, and that a tree grew out of another.

Making a proof needs the hashes of complete subtrees (``subtree(height, index)``: the root of the ``2**height`` leaves
that start at ``index * 2**height``). Checking one needs nothing but the proof.
"""

from collections.abc import Callable, Sequence

from trimtab.store.ledger.tree import EMPTY_ROOT, node_hash

Subtree = Callable[[int, int], bytes]


def root_at(subtree: Subtree, size: int) -> bytes:
    """Return the root that the tree had when it held ``size`` leaves."""
    return _range_root(subtree, 0, size) if size else EMPTY_ROOT


def inclusion_path(subtree: Subtree, position: int, size: int) -> list[bytes]:
    """Return the hashes that lead from the leaf at ``position`` to the root of the first ``size`` leaves."""
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if position < middle:
            path.append(_range_root(subtree, middle, end))
            end = middle
        else:
            path.append(_range_root(subtree, start, middle))
            start = middle
    return path[::-1]


def consistency_path(subtree: Subtree, old_size: int, size: int) -> list[bytes]:
    """Return the hashes that show that the first ``old_size`` leaves of ``size`` have not changed."""
    path: list[bytes] = []
    if not 0 < old_size < size:
        return path
    start, end, whole = 0, size, True
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_range_root(subtree, middle, end))
            end = middle
        else:
            path.append(_range_root(subtree, start, middle))
            start, whole = middle, False
    if not whole:
        path.append(_range_root(subtree, start, end))
    return path[::-1]


def includes(*, leaf: bytes, position: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether ``path`` proves that the tree with ``root`` and ``size`` holds ``leaf`` at ``position``."""
    if not 0 <= position < size:
        return False
    node, index, last = leaf, position, size - 1
    for hash_ in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = node_hash(hash_, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = node_hash(node, hash_)
        index >>= 1
        last >>= 1
    return last == 0 and node == root


def is_consistent(*, old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Say whether ``path`` proves that the tree with ``root`` begins with the tree with ``old_root``."""
    if old_size == size:
        return not path and old_root == root
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    if not 0 < old_size < size or not path:
        return False
    # A complete old tree is itself the first node, and is left out of the path.
    nodes = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    index, last = old_size - 1, size - 1
    while index & 1:
        index >>= 1
        last >>= 1
    old_node = node = nodes[0]
    for hash_ in nodes[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old_node, node = node_hash(hash_, old_node), node_hash(hash_, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = node_hash(node, hash_)
        index >>= 1
        last >>= 1
    return last == 0 and old_node == old_root and node == root


def _split(count: int) -> int:
    """Return the largest power of two below ``count``: where a tree of that many leaves divides."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(subtree: Subtree, start: int, end: int) -> bytes:
    count = end - start
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return subtree(height, start >> height)
    middle = start + _split(count)
    return node_hash(_range_root(subtree, start, middle), _range_root(subtree, middle, end))
