"""Walk over a whole ledger once, and compute again what it says about itself."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from trimtab.store.ledger.growth import entry
from trimtab.store.ledger.tree import Frontier, TileRoot, leaf_hash


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event as it is stored: its columns, its body, and what was computed when it was recorded."""

    position: int
    id: str
    at: str
    actor: str
    type: str
    idempotency_key: str | None
    body: str
    leaf: bytes
    rules: bool | None
    ruled_before: int | None
    code: bytes | None


class Anchor(msgspec.Struct, frozen=True):
    """A root that the ledger must have had at a size, and where that is known from."""

    size: int
    root: bytes
    source: str


class Tampered(Exception):
    """What is wrong, in words, and the first position that may be wrong (None: the events are right)."""

    def __init__(self, what: str, position: int | None) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


class _Named(msgspec.Struct):
    id: str


class _About(msgspec.Struct):
    kind: str
    id: str


class _Body(msgspec.Struct):
    id: str
    at: str
    actor: _Named
    type: str
    idempotency_key: str | None
    subjects: list[_About]
    rows: list[msgspec.Raw] = []


_decode = msgspec.json.Decoder(_Body).decode

BEGINNINGS = ("store.ledger-adopted", "store.key-replaced")
"""The events with which a ledger goes on that was written before events were authenticated."""

Progress = Callable[[int], None]
_STEP = 5000


class Tree:
    """The tree that the events themselves make, held against every root that is known from elsewhere."""

    def __init__(self, anchors: Iterable[Anchor], progress: Progress) -> None:
        self.frontier = Frontier()
        self.good = 0
        """The largest size whose root was found right."""
        self.tiles: list[TileRoot] = []
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.size, []).append(anchor)
        self._progress = progress
        self._check()

    def add(self, leaf: bytes) -> None:
        """Add the next event's leaf."""
        completed = self.frontier.add(leaf)
        if completed:
            self.tiles += completed
        if self.frontier.size in self._anchors:
            self._check()
        if not self.frontier.size % _STEP:
            self._progress(self.frontier.size)

    def finish(self, *, expected: int) -> None:
        """Raise ``Tampered`` when more events are known of than there were, or fewer."""
        size = self.frontier.size
        self._progress(size)
        beyond = max(self._anchors, default=0)
        if beyond > size:
            source = self._anchors[beyond][0].source
            raise Tampered(
                f"the ledger ends after {size} events, but {source} knows it with {beyond}: the last {beyond - size} "
                f"were cut off",
                size,
            )
        if size != expected:
            raise Tampered(f"there are {size} events where there should be {expected}", min(size, expected))

    def _check(self) -> None:
        size = self.frontier.size
        for anchor in self._anchors.get(size, ()):
            if self.frontier.root() != anchor.root:
                if self.good == size:  # another one bears the events out
                    raise Tampered(
                        f"{anchor.source} knows another root of the first {size} events than they have", None
                    )
                raise Tampered(
                    f"the first {size} events have another root than {anchor.source} knows: one of the events "
                    f"{self.good} to {max(size - 1, 0)} was changed, removed or put in",
                    self.good,
                )
            self.good = size


Check = Callable[[int, int, bytes, bytes], bool]
"""Says whether a code is the one of a position, the event that ruled before it, and a leaf."""


class Codes:
    """The codes of the events, each held against the ledger's key (``is_right``, if there is one), and their links.

    ``seen`` says that the events of this ledger were seen with codes before.
    """

    def __init__(self, is_right: Check | None, *, seen: bool) -> None:
        self._is_right = is_right
        self._seen = seen
        self._ruled = -1
        self._begun = False
        self._without = 0

    @property
    def proves(self) -> bool:
        """Say whether codes were checked; of a ledger without events there is nothing to check."""
        return self._is_right is not None and (self._begun or not self._without)

    def check(self, row: Row, body: _Body) -> None:
        """Raise ``Tampered`` when an event's code is missing or wrong, or its link."""
        position = row.position
        if row.code is None:
            if self._begun:
                raise Tampered(f"event {position} carries no code, and those before it do", position)
            if body.rows:
                raise Tampered(f"event {position} rules over rows, and carries no code: it was taken out", position)
            self._without += 1
            return
        if not self._begun and position and body.type not in BEGINNINGS:
            raise Tampered(f"the events before event {position} carry no code, and nobody has vouched for them", 0)
        self._begun = True
        if row.ruled_before != self._ruled or bool(row.rules) != bool(body.rows):
            raise Tampered(f"event {position} is not linked to the one that ruled before it", position)
        if self._is_right and not self._is_right(position, row.ruled_before, row.leaf, row.code):
            raise Tampered(f"event {position} was not recorded by Trimtab: its code is not the key's", position)
        self._ruled = position if row.rules else self._ruled

    def finish(self, count: int) -> None:
        """Raise ``Tampered`` when the events had codes once, and have none."""
        if self._seen and count and not self._begun:
            raise Tampered("no event carries a code, and this home has seen them with codes", 0)


def audit_rows(rows: Iterable[Row], subjects: Iterator[tuple[int, str, str]], tree: Tree, codes: Codes) -> None:
    """Check every stored event: its place, its leaf, its code, and that columns and subjects repeat its body."""
    about = next(subjects, None)
    for expected, row in enumerate(rows):
        position = row.position
        if position != expected:
            raise Tampered(f"event {expected} is missing", expected)
        if type(row.body) is not str:
            raise Tampered(f"the body of event {position} is no text", position)
        leaf = leaf_hash(entry(row.body.encode("utf-8", "surrogateescape"), position))
        if leaf != row.leaf:
            raise Tampered(f"the body of event {position} is not the one that was recorded", position)
        body = _body_of(row.body, position)
        stored = (row.id, row.at, row.actor, row.type, row.idempotency_key)
        if stored != (body.id, _column_time(body.at), body.actor.id, body.type, body.idempotency_key):
            raise Tampered(f"the columns of event {position} say something else than its body", position)
        codes.check(row, body)
        found = []
        while about is not None and about[0] == position:
            found.append((about[1], about[2]))
            about = next(subjects, None)
        told = [(subject.kind, subject.id) for subject in body.subjects]
        if found != told and set(found) != set(told):
            raise Tampered(f"the subjects of event {position} are not those of its body", position)
        tree.add(leaf)
    codes.finish(tree.frontier.size)
    if about is not None:
        raise Tampered(f"there are subjects of an event {about[0]}, which does not exist", about[0])


def _body_of(text: str | bytes, position: int) -> _Body:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Tampered(f"the body of event {position} is not an event", position) from None


def _column_time(at: str) -> str:
    return at[:-1] + "+00:00" if at.endswith("Z") else at
