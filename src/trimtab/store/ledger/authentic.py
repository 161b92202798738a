"""Tell the events that Trimtab recorded from rows that somebody else wrote.

Each event carries a code that only the ledger's key can make: an HMAC with SHA-256 (RFC 2104) over its place, its leaf
and its link to the newest event before it that ruled over rows. The database holds the codes, never the key. So an
event cannot be written by SQL; and as the links are covered, none that gave or took power can be left out unnoticed.
"""

import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from trimtab.kernel import TrimtabError
from trimtab.store.admission import closing_of, refusal
from trimtab.store.failures import NotAuthentic
from trimtab.store.ledger.growth import Growth, entry
from trimtab.store.ledger.head import head_in, size_of
from trimtab.store.ledger.keys import Keys
from trimtab.store.ledger.notes import Checkpoint, PublicKey, SigningKey
from trimtab.store.ledger.proofs import root_at
from trimtab.store.ledger.prove import Nodes
from trimtab.store.ledger.records import Head, Signed
from trimtab.store.ledger.tree import Frontier, leaf_hash
from trimtab.store.ledger.witness import Witness
from trimtab.store.tables import ledger_events

HISTORY_ACCEPTED = "store.history-accepted"
BASELINES = ("store.ledger-adopted", "store.key-replaced")
"""Types of events that hold the digests of all governed rows: what was said before them does not count any more."""
NONE_BEFORE = -1
"""``ruled_before`` of the first event that rules over rows."""


class EventForged(NotAuthentic):
    """An event was written, changed or taken out past Trimtab."""

    code = "store.event-forged"
    default_why = "Its code is not one that the ledger's key makes: somebody wrote to the database past Trimtab."
    default_next = "trimtab verify, then restore the database from a backup"


class HistoryDiffers(NotAuthentic):
    """The database holds an older or another history than the one that this home, or a client, has seen."""

    code = "store.history-differs"
    default_why = "An older database was restored, or its newest events were cut off."
    default_next = 'bring the newest database back, or accept this one: trimtab ledger accept --because "..."'


class Trusted(msgspec.Struct, frozen=True):
    """An end of the ledger that was checked: its size, its frontier, and the newest event that rules over rows."""

    size: int
    frontier: bytes
    ruled: int


class Authenticity:
    """What one process knows to be true of one ledger. Safe to share between threads."""

    def __init__(self, origin: str, keys: Keys, witness: Witness) -> None:
        self.origin = origin
        self._name = origin.encode()
        self._keys = keys
        self._witness = witness
        # What was seen until now: later on others add to it, while somebody looks at an earlier moment.
        self._seen = witness.ends(origin) if origin else ()
        self._doubted = bool(self._seen)
        """Whether the ledger must be held against what was seen before anything is written on it."""
        self._trusted: Trusted | None = None
        self._expected: Trusted | None = None
        self._next: tuple[SigningKey, str] | None = None

    @property
    def key(self) -> SigningKey:
        """Return the ledger's key. Raises ``KeyMissing`` where this home does not have it."""
        return self._next[0] if self._next else self._keys.of(self.origin)

    @property
    def signed_by(self) -> str:
        """Return the public key that must have signed the ledger so far for this process to write on."""
        return self._next[1] if self._next else str(self.key.public)

    @contextmanager
    def under(self, key: SigningKey, *, after: str) -> Iterator[None]:
        """Sign and authenticate with another key from here on, on top of what the key ``after`` has signed."""
        self._next = (key, after)
        try:
            yield
        finally:
            self._next = None

    def code(self, position: int, ruled_before: int, leaf: bytes) -> bytes:
        """Return the code of an event."""
        begun = self.key.mac.copy()  # begun with the key, which costs three times as much as the rest
        begun.update(b"trimtab.event/1\n%b\n%d\n%d\n%b" % (self._name, position, ruled_before, leaf))
        return begun.finalize()

    def code_of_waiting(self, bodies: str) -> bytes:
        """Return the code of the events of one change that wait for their positions."""
        begun = self.key.mac.copy()
        begun.update(b"trimtab.outbox/1\n%b\n%b" % (self._name, bodies.encode()))
        return begun.finalize()

    def is_waiting(self, bodies: str, code: bytes | None) -> bool:
        """Say whether Trimtab put these events into the outbox."""
        return code is not None and hmac.compare_digest(self.code_of_waiting(bodies), bytes(code))

    def is_right(self, position: int, ruled_before: int, leaf: bytes, code: bytes) -> bool:
        """Say whether a code is that of an event."""
        return hmac.compare_digest(self.code(position, ruled_before, leaf), bytes(code))

    def check_event(self, position: int, ruled_before: int | None, leaf: bytes, code: bytes | None) -> None:
        """Raise ``EventForged`` unless the code of an event is the key's."""
        _ = self.key  # who has none cannot say that an event was forged
        if ruled_before is None or code is None or not self.is_right(position, ruled_before, leaf, code):
            raise EventForged(f"event {position} was not recorded by Trimtab", where=f"ledger position {position}")

    def position_with(self, connection: Connection, key: str, found: Sequence[Any]) -> int:
        """Return the position of the event whose row says that it carries an idempotency key.

        ``found`` is the row's position, ``ruled_before``, body and code. Raises ``EventForged`` when the event itself
        does not say so: who believed the row would leave a change undone.
        """
        position, ruled_before, body, code = found
        event = ledger_events.c
        newest = select(func.max(event.position)).where(event.type.in_(BASELINES))
        if position >= (connection.execute(newest).scalar() or 0):  # those of before have another key's code, or none
            self.check_event(position, ruled_before, leaf_hash(entry(body.encode(), position)), code)
        if _keyed(body).idempotency_key != key:
            raise EventForged(f"event {position} carries another idempotency key", where=f"ledger position {position}")
        return int(position)

    def trusted(self, connection: Connection, head: Head) -> Trusted:
        """Return the ledger's end, checked: from what this process knows, or from the newest signed checkpoint, on.

        Raises ``EventForged`` or ``HistoryDiffers`` for a history that may not be written on.
        """
        if self._doubted:
            self.check_history(connection, head.size)
        known = self.known(head)
        self._trusted = known or self._walked(connection, head, self._trusted or self._signed_start(connection, head))
        return self._trusted

    def known(self, head: Head) -> Trusted | None:
        """Return a ledger's end, if this process has checked or made it. Whether it is the ledger's now, others say."""
        if self._doubted:
            return None
        for known in (self._expected, self._trusted):
            if known is not None and known.size == head.size and known.frontier == head.frontier:
                return known
        return None

    def expect(self, growth: Growth, *, after: Trusted) -> Trusted:
        """Know the end that this process is about to make after another; it counts as soon as the ledger has it."""
        self._trusted = after
        self._expected = Trusted(growth.frontier.size, growth.frontier.pack(), growth.ruled)
        return self._expected

    def settle(self, made: Trusted) -> None:
        """Know that the ledger has an end that this process has made: from here on it is never again a shorter one."""
        if self._trusted is None or self._trusted.size < made.size:
            self._trusted = made

    def keep(self, signed: Signed) -> None:
        """Let this home's memory hold a checkpoint that was made just now."""
        if signed.note:
            self._witness.keep(signed.note, key=signed.key)

    def check_history(self, connection: Connection, size: int) -> None:
        """Raise ``HistoryDiffers`` unless the ledger goes on from what this home had seen of it when it was opened."""
        if (seen := self.unlike(connection, size)) is not None:
            raise HistoryDiffers(_unlike(seen, size, "this home has seen"), where="store.ledger")
        self._doubted = False

    def check_before_change(self, connection: Connection) -> None:
        """Raise ``HistoryDiffers`` where a change is committed before anybody looks at the ledger that it goes into."""
        if self._doubted:
            self.check_history(connection, size_of(connection))

    def unlike(self, connection: Connection, size: int) -> Checkpoint | None:
        """Return what this home has seen, or was shown, and the ledger does not go on from; None if it does."""
        for seen in self._seen:
            if not _goes_on(connection, size, seen) and not self._is_accepted(connection, seen):
                return seen
        return None

    def check_shown(self, connection: Connection, shown: Checkpoint, size: int) -> None:
        """Raise ``HistoryDiffers`` unless the ledger goes on from a checkpoint that a client was given earlier.

        What the ledger's key has signed counts for this home too: nothing is written until somebody accepts it.
        """
        if _goes_on(connection, size, shown) or self._is_accepted(connection, shown):
            return
        what = _unlike(shown, size, "you were shown")
        if (given_up := self._given_up(connection, shown)) is not None:
            raise HistoryDiffers(
                what,
                where="header Trimtab-Checkpoint",
                why=f"An older database was restored, and accepted: event {given_up} of the ledger says why.",
                next="if that is right, take away the folder in which your client remembers this server "
                "(in ~/.local/state/trimtab/witness)",
            )
        if self._keys.has(self.origin) and self.key.public.signed(shown.note):
            if shown not in self._seen:
                self._witness.doubt(shown.note)
                self._seen = (*self._seen, shown)
            self._doubted = True
        raise HistoryDiffers(what, where="header Trimtab-Checkpoint")

    def accept(self, connection: Connection) -> None:
        """Take the ledger's end as it is for the newest, after every event since its newest checkpoint was checked."""
        head = head_in(connection)
        self._trusted = self._walked(connection, head, self._signed_start(connection, head))
        self._seen, self._doubted = (), False

    def _is_accepted(self, connection: Connection, seen: Checkpoint) -> bool:
        """Say whether somebody has accepted that the ledger does not go on from just this checkpoint."""
        return any(
            (said.seen_size, said.seen_root) == (seen.size, seen.root.hex()) for _, said in self._accepted(connection)
        )

    def _given_up(self, connection: Connection, seen: Checkpoint) -> int | None:
        """Return the position of the event that accepted that such events as a checkpoint holds are lost."""
        for position, said in self._accepted(connection):
            if said.found_size < seen.size <= said.seen_size:
                return position
        return None

    def _accepted(self, connection: Connection) -> Iterator[tuple[int, "_Accepted"]]:
        event = ledger_events.c
        newest = select(func.coalesce(func.max(event.position), 0)).where(event.type.in_(BASELINES)).scalar_subquery()
        query = select(event.position, event.ruled_before, event.body, event.code)
        query = query.where(event.type == HISTORY_ACCEPTED, event.position >= newest).order_by(event.position)
        for position, before, body, code in connection.execute(query).all():
            self.check_event(position, before, leaf_hash(entry(body.encode(), position)), code)
            with suppress(msgspec.DecodeError):  # the event of another type, whose column somebody has changed
                yield position, _accepting(body).data

    def is_older(self, connection: Connection) -> bool:
        """Say whether a ledger without codes was written before events had them, and is signed by this home's key.

        Where one event has a code, or holds digests of rows, all have had codes, and somebody has taken them out.
        """
        event = ledger_events.c
        later = select(event.code, event.body).where(event.code.is_not(None) | event.body.contains('"rows":['))
        for code, body in connection.execute(later):
            if code is not None or rules_rows(body):
                return False
        try:
            _checkpoint(head_in(connection), self.key.public)
        except EventForged:
            return False
        return True

    def take(self, connection: Connection) -> Head:
        """Take the ledger's end for true although no code proves it: it is that of no key, or of one that is lost.

        What was signed must still be what its checkpoint says, and the head that of its events.
        """
        head, nodes = head_in(connection), Nodes(connection)
        self.check_history(connection, head.size)
        whole = Frontier.unpack(head.size, head.frontier).root()
        signed = Checkpoint.parse(head.signed.note) if head.signed.size else None
        if root_at(nodes, head.size) != whole or (signed and root_at(nodes, signed.size) != signed.root):
            raise EventForged("the ledger's events are not the ones that were signed", where="store.ledger")
        event = ledger_events.c
        ruled = connection.execute(select(func.max(event.position)).where(event.rules)).scalar()
        self._trusted = Trusted(head.size, head.frontier, NONE_BEFORE if ruled is None else ruled)
        return head

    def _signed_start(self, connection: Connection, head: Head) -> Trusted:
        """Return the end at the newest checkpoint, whose signature and root are checked."""
        if not head.signed.size:
            return Trusted(0, b"", NONE_BEFORE)
        said, size = _checkpoint(head, self.key.public), head.signed.size
        nodes, roots, first = Nodes(connection), [], 0
        for height in range(size.bit_length() - 1, -1, -1):
            if size >> height & 1:
                roots.append(nodes(height, first >> height))
                first += 1 << height
        if Frontier(size, roots).root() != said.root:
            raise EventForged(
                f"the first {size} events are not the ones that were signed", where=f"ledger checkpoint {size}"
            )
        event = ledger_events.c
        query = select(event.rules, event.ruled_before, event.leaf, event.code).where(event.position == size - 1)
        rules, before, leaf, code = connection.execute(query).one()
        self.check_event(size - 1, before, leaf, code)
        return Trusted(size, b"".join(roots), size - 1 if rules else before)

    def _walked(self, connection: Connection, head: Head, start: Trusted) -> Trusted:
        """Return the ledger's end after every event since ``start`` was checked."""
        if head.size < start.size:
            raise HistoryDiffers(
                f"the ledger ends after {head.size} events, and this process has seen it with {start.size}",
                where="store.ledger",
            )
        frontier, ruled = Frontier.unpack(start.size, start.frontier), start.ruled
        for position, rules, before, body, code in _events_from(connection, start.size):
            leaf = leaf_hash(entry(body.encode(), position))
            if position != frontier.size or before != ruled or bool(rules) != rules_rows(body):
                raise EventForged(f"event {frontier.size} is not the one that was recorded", where="store.ledger")
            self.check_event(position, before, leaf, code)
            frontier.add(leaf)
            ruled = position if rules else ruled
        if (frontier.size, frontier.pack()) != (head.size, head.frontier):
            raise EventForged("the ledger's head is not where its events end", where="store.ledger")
        return Trusted(head.size, head.frontier, ruled)


class _Keyed(msgspec.Struct):
    idempotency_key: str | None = None


_keyed = msgspec.json.Decoder(_Keyed).decode


class _Accepted(msgspec.Struct):
    seen_size: int
    seen_root: str
    found_size: int


class _Accepting(msgspec.Struct):
    data: _Accepted


_accepting = msgspec.json.Decoder(_Accepting).decode


class _Ruling(msgspec.Struct):
    rows: list[Any] = []


_ruling = msgspec.json.Decoder(_Ruling).decode


def rules_rows(body: str | bytes) -> bool:
    """Say whether an event holds digests of rows."""
    return bool(_ruling(body).rows)


def _goes_on(connection: Connection, size: int, seen: Checkpoint) -> bool:
    """Say whether a ledger of ``size`` events begins with those of a checkpoint. Raises ``Closed`` for a moved one."""
    if seen.size > size and (closing := closing_of(connection)) is not None:
        raise refusal(closing)  # it was moved, and goes on elsewhere
    return seen.size <= size and root_at(Nodes(connection), seen.size) == seen.root


def _unlike(seen: Checkpoint, size: int, who: str) -> str:
    if seen.size > size:
        return f"the ledger ends after {size} events, and {who} it with {seen.size}"
    return f"the first {seen.size} events are not the ones that {who}"


def _events_from(connection: Connection, position: int) -> Iterator[Any]:
    event = ledger_events.c
    query = select(event.position, event.rules, event.ruled_before, event.body, event.code)
    yield from connection.execute(query.where(event.position >= position).order_by(event.position))


def _checkpoint(head: Head, public: PublicKey) -> Checkpoint:
    try:
        said = Checkpoint.parse(head.signed.note)
    except TrimtabError:
        said = None
    if said is None or (said.origin, said.size) != (head.origin, head.signed.size) or not public.signed(said.note):
        raise EventForged(
            f"the checkpoint of {head.signed.size} events is not signed by the ledger's key", where="store.ledger"
        )
    return said
