"""The laws of the Merkle tree, against the definition of RFC 9162 written down plainly."""

import base64
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.store.ledger.proofs import consistency_path, includes, inclusion_path, is_consistent, root_at
from trimtab.store.ledger.tree import EMPTY_ROOT, Frontier, leaf_hash

UP_TO = 70


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(n).encode()) for n in range(count)]


def tree_root(nodes: Sequence[bytes]) -> bytes:
    """MTH of section 2.1.1."""
    if not nodes:
        return hashlib.sha256().digest()
    if len(nodes) == 1:
        return nodes[0]
    half = 1
    while half * 2 < len(nodes):
        half *= 2
    return hashlib.sha256(b"\x01" + tree_root(nodes[:half]) + tree_root(nodes[half:])).digest()


class Subtrees:
    def __init__(self, nodes: Sequence[bytes]) -> None:
        self.nodes = nodes

    def __call__(self, height: int, index: int) -> bytes:
        count = 1 << height
        part = self.nodes[index * count : (index + 1) * count]
        assert len(part) == count, "a proof needs complete subtrees only"
        return tree_root(part)


def test_the_trees_of_the_certificate_transparency_tests() -> None:
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == hashlib.sha256().digest()
    for text, root in zip(data, roots, strict=True):
        frontier.add(leaf_hash(bytes.fromhex(text)))
        assert frontier.root().hex() == root


@pytest.mark.parametrize("size", range(UP_TO))
def test_the_frontier_has_the_root_of_the_definition(size: int) -> None:
    frontier = Frontier()
    for leaf in leaves(size):
        frontier.add(leaf)
    assert frontier.root() == tree_root(leaves(size))
    assert len(frontier.roots) == size.bit_count()
    again = Frontier.unpack(size, frontier.pack())
    again.add(b"x" * 32)
    assert again.root() == tree_root([*leaves(size), b"x" * 32])


@pytest.mark.parametrize("size", range(1, UP_TO))
def test_every_leaf_of_every_tree_is_proved(size: int) -> None:
    nodes = leaves(size)
    root = tree_root(nodes)
    for position in range(size):
        path = inclusion_path(Subtrees(nodes), position, size)
        assert len(path) <= (size - 1).bit_length()
        proof = {"position": position, "size": size, "path": path}
        assert includes(leaf=nodes[position], root=root, **proof)
        assert not includes(leaf=leaf_hash(b"other"), root=root, **proof)
        assert not includes(leaf=nodes[position], root=tree_root(nodes[:-1]), **proof)


@pytest.mark.parametrize("size", range(UP_TO))
def test_every_tree_grew_out_of_every_smaller_one(size: int) -> None:
    nodes = leaves(size)
    root = tree_root(nodes)
    for old_size in range(size + 1):
        path = consistency_path(Subtrees(nodes), old_size, size)
        proof = {"old_size": old_size, "size": size, "path": path}
        old_root = tree_root(nodes[:old_size])
        assert is_consistent(old_root=old_root, root=root, **proof)
        assert not is_consistent(old_root=leaf_hash(b"other"), root=root, **proof)
        if old_size:
            assert not is_consistent(old_root=old_root, root=leaf_hash(b"other"), **proof)


@given(st.data())
def test_a_changed_inclusion_proof_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    position = data.draw(st.integers(0, size - 1))
    nodes = leaves(size)
    path = inclusion_path(Subtrees(nodes), position, size)
    proof = {"leaf": nodes[position], "position": position, "size": size, "path": path, "root": tree_root(nodes)}
    assert includes(**proof)
    assert not includes(**proof | {"path": changed(data, path)})
    other = data.draw(st.integers(-2, size + 2).filter(lambda n: n != position))
    assert not includes(**proof | {"position": other})


@given(st.data())
def test_a_changed_consistency_proof_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    old_size = data.draw(st.integers(1, size - 1))
    nodes = leaves(size)
    path = consistency_path(Subtrees(nodes), old_size, size)
    proof = {"old_size": old_size, "size": size, "path": path}
    roots = {"old_root": tree_root(nodes[:old_size]), "root": tree_root(nodes)}
    assert is_consistent(**proof, **roots)
    assert not is_consistent(**proof | {"path": changed(data, path)}, **roots)
    # A history that was rewritten somewhere before the old size has no proof, whatever path is offered.
    position = data.draw(st.integers(0, old_size - 1))
    forged = [*nodes[:position], leaf_hash(b"forged"), *nodes[position + 1 :]]
    offered = consistency_path(Subtrees(forged), old_size, size)
    assert not is_consistent(
        old_size=old_size, size=size, path=offered, old_root=roots["old_root"], root=tree_root(forged)
    )


@given(st.data())
def test_roots_of_earlier_sizes(data: st.DataObject) -> None:
    nodes = leaves(data.draw(st.integers(0, 300)))
    size = data.draw(st.integers(0, len(nodes)))
    assert root_at(Subtrees(nodes), size) == tree_root(nodes[:size])


def test_tiles_are_the_roots_of_complete_subtrees() -> None:
    frontier, found = Frontier(), []
    nodes = leaves(256 * 256 + 300)
    for leaf in nodes:
        found += frontier.add(leaf)
    assert [(tile.level, tile.number) for tile in found if tile.level == 2] == [(2, 0)]
    assert [tile.number for tile in found if tile.level == 1] == list(range(257))
    assert found[3].root == tree_root(nodes[3 * 256 : 4 * 256])
    assert next(tile.root for tile in found if tile.level == 2) == tree_root(nodes[: 256 * 256])


def changed(data: st.DataObject, path: list[bytes]) -> list[bytes]:
    """Return a path with one bit flipped, a hash dropped, or one put in."""
    kinds = ["add", "flip", "drop"] if path else ["add"]
    at = data.draw(st.integers(0, len(path) - 1)) if path else 0
    match data.draw(st.sampled_from(kinds)):
        case "flip":
            bit = data.draw(st.integers(0, 255))
            number = int.from_bytes(path[at]) ^ (1 << bit)
            return [*path[:at], number.to_bytes(32), *path[at + 1 :]]
        case "drop":
            return [*path[:at], *path[at + 1 :]]
        case _:
            return [*path[:at], base64.b64decode("A" * 43 + "="), *path[at:]]
