"""The ledger as it stood at an earlier size: its signed checkpoint, and proofs for many events at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from trimtab.kernel import NotFound
from trimtab.store.failures import RowsDamaged
from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.head import size_of
from trimtab.store.ledger.notes import Checkpoint, PublicKey
from trimtab.store.ledger.proofs import consistency_path, inclusion_path, is_consistent, root_at
from trimtab.store.ledger.prove import InclusionProof, Nodes
from trimtab.store.ledger.records import Signed
from trimtab.store.ledger.tree import TILE, TILE_HEIGHT, node_hash
from trimtab.store.tables import ledger_checkpoints, ledger_events

if TYPE_CHECKING:
    from trimtab.store.opened import Store

_AT_ONCE = 400


def ledger_size(store: "Store") -> int:
    """Return the number of events in the ledger."""
    store.sequence()
    with store.read() as connection:
        return size_of(connection)


def ledger_counts(store: "Store") -> tuple[int, int]:
    """Return how many events the ledger holds, and how many the newest checkpoint signs. Nothing is written."""
    with store.read() as connection:
        size = size_of(connection)
        signed = connection.execute(select(func.max(ledger_checkpoints.c.size))).scalar_one()
    return size, int(signed or 0)


def signed_prefix(store: "Store", size: int | None = None) -> Signed:
    """Return the checkpoint of the first ``size`` events (default: all), signed with this home's key.

    The same size gives the same bytes, however long the ledger has grown since. Nothing is signed that the newest
    checkpoint in the ledger does not bear out: raises ``RowsDamaged`` then, and ``NotFound`` for a size that the
    ledger has not reached.
    """
    newest = store.checkpoint()
    whole = ledger_size(store)
    with store.read() as connection:
        chosen = newest.size if size is None else size
        if not 0 < chosen <= whole:
            raise NotFound(
                f"the ledger never had {chosen} events",
                where="ledger",
                why=f"It holds {whole} events, counted from 0.",
                next="trimtab get events",
            )
        nodes = _Remembered(connection)
        root = root_at(nodes, chosen)
        _check_borne_out(nodes, newest, chosen, root)
    key = store.keys.of(store.origin)
    return Signed(chosen, key.checkpoint(chosen, root), str(key.public))


def inclusion_proofs(store: "Store", positions: Sequence[int], *, signed: Signed) -> tuple[InclusionProof, ...]:
    """Prove that events are in the tree of one signed checkpoint, in the order of the ledger; hashes are read once.

    Raises ``RowsDamaged`` for an event that does not lead to the checkpoint's root.
    """
    said = Checkpoint.parse(signed.note)
    wanted = sorted(set(positions))
    found: list[InclusionProof] = []
    with store.read() as connection:
        nodes = _Remembered(connection)
        bodies = _bodies(connection, wanted)
        for position in wanted:
            proof = InclusionProof(
                origin=said.origin, position=position, size=said.size, checkpoint=signed.note,
                entry=entry(bodies.get(position, "").encode(), position).decode(),
                path=tuple(inclusion_path(nodes, position, said.size)),
            )  # fmt: skip
            if not proof.leads_to(said.root):
                raise RowsDamaged(f"event {position} is not the one that was signed", where="ledger")
            found.append(proof)
    return tuple(found)


def _check_borne_out(nodes: "_Remembered", newest: Signed, size: int, root: bytes) -> None:
    """Raise ``RowsDamaged`` unless the newest checkpoint shows that the ledger began with this root."""
    said = Checkpoint.parse(newest.note)
    path = consistency_path(nodes, size, said.size) if size <= said.size else []
    right = PublicKey.parse(newest.key).signed(newest.note) and is_consistent(
        old_size=size, old_root=root, size=said.size, root=said.root, path=path
    )
    if not right:
        raise RowsDamaged(f"the first {size} events are not those that were signed", where="ledger")


def _bodies(connection: Connection, positions: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    column = ledger_events.c
    for start in range(0, len(positions), _AT_ONCE):
        some = positions[start : start + _AT_ONCE]
        rows = connection.execute(select(column.position, column.body).where(column.position.in_(some)))
        found |= {row.position: row.body for row in rows}
    return found


class _Remembered:
    """The hashes of complete subtrees; those of a tile are read together, and every one is kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._nodes = Nodes(connection)
        self._known: dict[tuple[int, int], bytes] = {}
        self._tiles: set[int] = set()

    def __call__(self, height: int, index: int) -> bytes:
        if (height, index) not in self._known:
            if height < TILE_HEIGHT:
                self._read_tile(index >> (TILE_HEIGHT - height))
            if (height, index) not in self._known:
                self._known[height, index] = self._nodes(height, index)
        return self._known[height, index]

    def _read_tile(self, tile: int) -> None:
        """Read the leaves of one tile, and compute every complete subtree in it."""
        if tile in self._tiles:
            return
        self._tiles.add(tile)
        first, column = tile * TILE, ledger_events.c
        query = select(column.leaf).where(column.position.between(first, first + TILE - 1)).order_by(column.position)
        hashes, height = list(self._connection.execute(query).scalars()), 0
        while hashes:
            self._known |= {(height, (first >> height) + i): hash_ for i, hash_ in enumerate(hashes)}
            pairs = zip(hashes[::2], hashes[1::2], strict=False)
            hashes, height = [node_hash(left, right) for left, right in pairs], height + 1
