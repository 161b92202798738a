"""Verify a ledger: compute everything again, and say in words what that proves and what it does not."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from trimtab.kernel import Refused, TrimtabError
from trimtab.store.failures import KeyMissing, RowsDamaged
from trimtab.store.governed import differences, was_put_again
from trimtab.store.ledger.audit import Anchor, Check, Codes, Row, Tampered, Tree, audit_rows
from trimtab.store.ledger.baselines import KEY_REPLACED, replaced_by
from trimtab.store.ledger.head import lags
from trimtab.store.ledger.notes import Checkpoint, PublicKey
from trimtab.store.ledger.records import Signed
from trimtab.store.ledger.streaming import as_it_is, streamed
from trimtab.store.ledger.tree import HASH_BYTES, TILE, Frontier, TileRoot
from trimtab.store.ledger.witness import Witness
from trimtab.store.tables import (
    ledger_checkpoints,
    ledger_events,
    ledger_head,
    ledger_refused,
    ledger_subjects,
    ledger_tiles,
)
from trimtab.store.triggers import foreign_objects

if TYPE_CHECKING:
    from trimtab.store.opened import Store


class VerificationKind(StrEnum):
    INTACT = "intact"
    TAMPERED = "tampered"
    NOT_PROVABLE = "not provable"
    USAGE = "usage"


_EXIT_CODES = {
    VerificationKind.INTACT: 0,
    VerificationKind.TAMPERED: 1,
    VerificationKind.NOT_PROVABLE: 2,
    VerificationKind.USAGE: 3,
}


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a verification.

    ``what`` is the verdict in one sentence. ``first_bad`` is the first position that may have been tampered with.
    ``proved`` and ``unproved`` say in words what the verdict rests on and what it leaves open.
    """

    kind: VerificationKind
    what: str
    origin: str = ""
    events: int = 0
    root: bytes = b""
    first_bad: int | None = None
    proved: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """What a command ends with: 0 intact, 1 tampered, 2 not provable, 3 usage."""
        return _EXIT_CODES[self.kind]


class _Evidence:
    """The checkpoints and keys that a ledger is held against."""

    def __init__(
        self, origin: str, *, witness: Witness, keys: Sequence[PublicKey], notes: Sequence[Checkpoint], strict: bool
    ) -> None:
        self.origin = origin
        self.remembered = witness.checkpoints(origin)
        self.given = tuple(notes)
        self.keys = {(key.name, key.id): key for key in keys}
        self.anchors: list[Anchor] = []
        self.covered = 0
        """The largest size of which a checkpoint is signed by a known key, or was kept outside of the ledger.

        Where keys were given (``strict``), what this client remembers is only as good as its signature."""
        self.strangers: set[str] = set()
        self.is_authentic = False
        """Whether the codes of the events and the rows that give power were checked."""
        self.refused = 0
        """How much was found in the outbox that Trimtab had not put there."""
        self.foreign: tuple[str, ...] = ()
        """What acts in the database and is not Trimtab's."""
        for checkpoint in self.remembered:
            self._anchor(checkpoint, "this client's memory", trusted=not strict)
        for checkpoint in self.given:
            self._anchor(checkpoint, "a checkpoint that you gave", trusted=True)

    def follow_keys(self, connection: Connection) -> None:
        """Trust the keys that took the place of trusted ones, as both have signed, and what is signed by them."""
        event = ledger_events.c
        query = select(event.body).where(event.type == KEY_REPLACED).order_by(event.position)
        for body in connection.execute(query).scalars():
            for old in list(self.keys.values()):
                new = replaced_by(old, body)
                if new is not None:
                    self.keys[new.name, new.id] = new
        for checkpoint in self.remembered:
            if any(key.signed(checkpoint.note) for key in self.keys.values()):
                self.covered = max(self.covered, checkpoint.size)

    def add_own(self, signed: Signed) -> None:
        """Take a checkpoint that the ledger itself carries. Raises ``Tampered`` when it is not what was signed."""
        try:
            checkpoint, carried = Checkpoint.parse(str(signed.note)), PublicKey.parse(str(signed.key))
        except TrimtabError:
            raise Tampered(f"the checkpoint of {signed.size} events cannot be read", None) from None
        known = self.keys.get((carried.name, carried.id))
        if checkpoint.size != signed.size or not (known or carried).signed(signed.note):
            raise Tampered(f"the checkpoint of {signed.size} events is not what its key has signed", None)
        if known is None:
            self.strangers.add(signed.key)
        self._anchor(checkpoint, "a checkpoint in the ledger", trusted=known is not None)

    def add_head(self, size: Any, frontier: Any) -> None:
        """Take the hashes at the ledger's head: the events up to there must make the same ones."""
        if not isinstance(size, int):
            raise Tampered("the size at the ledger's head is no number", None)
        if not isinstance(frontier, bytes) or len(frontier) != size.bit_count() * HASH_BYTES or size < 0:
            raise Tampered("the hashes at the ledger's head do not fit its size", None)
        self.anchors.append(Anchor(size, Frontier.unpack(size, frontier).root(), "the ledger's head"))

    def _anchor(self, checkpoint: Checkpoint, source: str, *, trusted: bool) -> None:
        if checkpoint.origin != self.origin:
            raise Tampered(f"{source} is of another ledger, {checkpoint.origin}", None)
        self.anchors.append(Anchor(checkpoint.size, checkpoint.root, source))
        if trusted:
            self.covered = max(self.covered, checkpoint.size)


def verify(
    store: "Store",
    *,
    witness: Witness | None = None,
    keys: Sequence[str] = (),
    checkpoints: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Verify the ledger of an open store.

    Every leaf, tile and root is computed again; columns and subjects are compared with the bodies; and the ledger is
    held against its own checkpoints, against ``checkpoints`` (notes kept from receipts) and against what ``witness``
    remembers (without one: its own home's memory). A checkpoint counts as signed when one of ``keys`` signed it;
    without any, when one that the witness has seen did, or the home's own. Where the home has the ledger's key, the
    code of each event is computed again, and each row that gives power is held against what the ledger says of it.
    ``progress`` is told the number of events every so often.
    """
    try:
        trusted = [PublicKey.parse(key) for key in keys]
        given = [Checkpoint.parse(note) for note in checkpoints]
    except TrimtabError as error:
        return _usage(f"{error.what}: {error.why}")
    memory = witness or store.witness
    own = store.keys.public(store.origin)
    known = [*memory.keys(store.origin), *([PublicKey.parse(own)] if own else [])]
    try:
        refused = _sequenced(store)
        # What the client remembers is read first: a change that is made meanwhile may not look like a truncation.
        evidence = _Evidence(store.origin, witness=memory, keys=trusted or known, notes=given, strict=bool(trusted))
        tree = _audited(store, evidence, progress)
        if refused:
            raise refused
    except Tampered as found:
        return _tampered(found, store.origin)
    except Refused as error:
        return _tampered(Tampered(error.what, None), store.origin)
    except RowsDamaged as error:
        return _tampered(Tampered(f"the ledger is not as Trimtab writes it: {error.what}", None), store.origin)
    except DBAPIError:
        # The statements are right, so somebody has taken away what they name.
        return _tampered(Tampered("a table of the ledger, or a column of one, is not there", None), store.origin)
    verdict = _verdict(evidence, tree.frontier)
    if verdict.kind is VerificationKind.INTACT and evidence.remembered:
        memory.settle(store.origin, size=evidence.remembered[-1].size)
    return verdict if witness else _known_here(verdict, store)


def _sequenced(store: "Store") -> Refused | None:
    """Give positions to what waits; return why that is refused, which whoever looks at each event can say better."""
    try:
        if store.has_key:  # elsewhere whoever has it does so
            store.sequence()
    except Refused as error:
        return error
    return None


def _known_here(verdict: Verification, store: "Store") -> Verification:
    """Return the verdict, unless the home has known another ledger in this place: then nothing is proved by it."""
    first = store.first_origin
    size = max((kept.size for kept in store.witness.checkpoints(first)), default=0)
    if first == store.origin or not size:
        return verdict
    file = store.witness.place_name(store.place)
    replaced = (
        f"that {first}, which had {size} events, was not taken away and another ledger put in its place; if it was you "
        f"who did that, remove the file {file} in the home's folder witness"
    )
    return msgspec.structs.replace(
        verdict,
        kind=VerificationKind.NOT_PROVABLE,
        what=f"no error was found in {verdict.events} events, but this is not the ledger that this home knew here",
        unproved=(replaced, *verdict.unproved),
    )


def _audited(store: "Store", evidence: _Evidence, progress: Callable[[int], None]) -> Tree:
    try:
        with store.read() as connection:
            return _audit_store(store, connection, evidence, progress)
    except RowsDamaged:
        # Text that is no UTF-8 is not given out; taken as it is, it is found to be another than was recorded.
        with store.read() as connection, as_it_is(connection):
            return _audit_store(store, connection, evidence, progress)


def _audit_store(store: "Store", connection: Connection, evidence: _Evidence, progress: Callable[[int], None]) -> Tree:
    codes = Codes(_check(store, connection, evidence), seen=store.witness.is_authentic(store.origin))
    heads = connection.execute(select(ledger_head.c.origin, ledger_head.c.size, ledger_head.c.frontier)).all()
    if [head.origin for head in heads] != [evidence.origin]:
        raise Tampered(f"the ledger calls itself {', '.join(repr(head.origin) for head in heads) or 'nothing'}", None)
    head = heads[0]
    evidence.add_head(head.size, head.frontier)
    evidence.follow_keys(connection)
    columns = ledger_checkpoints.c
    for row in connection.execute(select(columns.size, columns.note, columns.key).order_by(columns.tile)):
        evidence.add_own(Signed(*row))
    tree = Tree(evidence.anchors, progress)
    subjects = ledger_subjects.c
    events = select(ledger_events).order_by(ledger_events.c.position)
    about = select(subjects.position, subjects.kind, subjects.id).order_by(
        subjects.position, subjects.kind, subjects.id
    )
    with streamed(connection, events) as rows, streamed(connection, about) as pairs:
        audit_rows((Row(*row) for row in rows), pairs, tree, codes)
    size = tree.frontier.size
    follow = lags(connection) and size // TILE == head.size // TILE  # each 256th event is signed
    tree.finish(expected=size if follow else head.size)
    tiles = ledger_tiles.c
    stored = connection.execute(select(tiles.level, tiles.number, tiles.root).order_by(tiles.level, tiles.number))
    if [TileRoot(*row) for row in stored] != sorted(tree.tiles, key=lambda tile: (tile.level, tile.number)):
        raise Tampered("the stored roots of tiles are not those of the events", None)
    if codes.proves:
        for difference in differences(connection):
            raise Tampered(difference, None)
        evidence.is_authentic = True
    if was_put_again(connection):
        raise Tampered("an entry of the outbox is in the ledger already: somebody put it there again", None)
    evidence.foreign = foreign_objects(connection)
    evidence.refused = connection.execute(select(func.count()).select_from(ledger_refused)).scalar_one()
    return tree


def _check(store: "Store", connection: Connection, evidence: _Evidence) -> Check | None:
    """Return what checks the codes of events, None in a home that cannot: without the key, or under another one."""
    try:
        key = store.authenticity.key
    except KeyMissing:
        return None
    if (key.public.name, key.public.id) not in evidence.keys:
        return None
    event = ledger_events.c
    replaced = connection.execute(select(func.max(event.position)).where(event.type == KEY_REPLACED)).scalar()

    def is_right(position: int, ruled_before: int, leaf: bytes, code: bytes) -> bool:
        # Codes of a key of before are not checked any more: the events are under the new one's signature.
        return position < (replaced or 0) or store.authenticity.is_right(position, ruled_before, leaf, code)

    return is_right


def _verdict(evidence: _Evidence, frontier: Frontier) -> Verification:
    """Say what the checks that were passed prove, and what they cannot."""
    size = frontier.size
    proved = [f"the {size} events, their order, their columns and every hash of the tree agree with each other"]
    unproved = []
    kind, what = VerificationKind.INTACT, f"the ledger is intact: {size} events"
    if evidence.covered:
        proved.append(f"the first {evidence.covered} are what was signed, or kept outside of the ledger")
    if evidence.covered < size:
        kind = VerificationKind.NOT_PROVABLE
        what = (
            f"no error was found in {size} events, but {size - evidence.covered} of them are under no known signature"
        )
        unproved.append(
            f"that the events {evidence.covered} to {size - 1} are the ones that were recorded: "
            "no checkpoint that covers them is signed by a key known here"
        )
    if evidence.is_authentic:
        proved.append("each event carries the code of the ledger's key, and each row that gives power is what it says")
    else:
        unproved.append(
            "that the rows of approvals, releases, tokens and routes are what the ledger says: "
            "that is checked with the ledger's key, in a home that has it"
        )
    if evidence.refused:
        unproved.append(
            f"who put {evidence.refused} entries into the outbox that Trimtab had not recorded: they were refused"
        )
    unproved += [f"what {thing} does: Trimtab did not make it" for thing in evidence.foreign]
    unproved += [
        f"who signed with the key {key}: nothing outside of the ledger vouches for it"
        for key in sorted(evidence.strangers)
    ]
    longest = max((checkpoint.size for checkpoint in (*evidence.remembered, *evidence.given)), default=0)
    if longest:
        proved.append(
            f"the ledger still begins with the {longest} events that it had at the newest checkpoint kept outside"
        )
    if longest < size or not size:
        since = f"after the first {longest}" if longest else "at all"
        unproved.append(
            f"that no events {since} were cut off its end, together with their checkpoints: "
            "nothing outside of the ledger remembers a longer one"
        )
    return Verification(
        kind=kind,
        what=what,
        origin=evidence.origin,
        events=size,
        root=frontier.root(),
        proved=tuple(proved),
        unproved=tuple(unproved),
    )


def _tampered(found: Tampered, origin: str) -> Verification:
    return Verification(kind=VerificationKind.TAMPERED, what=found.what, origin=origin, first_bad=found.position)


def _usage(what: str) -> Verification:
    return Verification(kind=VerificationKind.USAGE, what=what)
