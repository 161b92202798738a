"""The nouns of the ledger: an event on its way in, what its author keeps, and the ledger's end."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from trimtab.kernel import Invalid
from trimtab.store.events import Subject

_LONGEST = {"actor": 200, "type": 80, "idempotency key": 200, "subject kind": 40, "subject id": 200}


class Receipt(msgspec.Struct, frozen=True):
    """What the one who changed something keeps: the position of the last event, and the newest signed checkpoint.

    ``key`` is the public key that checks the checkpoint. Both are empty where nobody waited for the disk (SQLite): a
    checkpoint that is kept elsewhere must not tell of more than a power failure leaves here.
    """

    position: int
    checkpoint: str = ""
    key: str = ""


class Signed(msgspec.Struct, frozen=True):
    """A signed checkpoint of the ledger at ``size`` events, and the public key that checks it."""

    size: int
    note: str
    key: str


class Head(msgspec.Struct, frozen=True):
    """The ledger's end: its name, its size, its frontier, and the newest signed checkpoint."""

    origin: str
    size: int
    frontier: bytes
    signed: Signed


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has its body, but no position yet. The columns repeat the body, to be searched by.

    ``rules`` says that the body holds digests of governed rows.
    """

    id: str
    at: str
    actor: str
    type: str
    idempotency_key: str | None
    body: bytes
    subjects: tuple[Subject, ...]
    rules: bool = False

    def checked(self) -> "Pending":
        """Return itself, or raise ``Invalid`` when a column would not hold its text; SQLite would not notice."""
        texts = [("actor", self.actor), ("type", self.type), ("idempotency key", self.idempotency_key or "")]
        for subject in self.subjects:
            texts += [("subject kind", subject.kind), ("subject id", subject.id)]
        for name, text in texts:
            if len(text) > _LONGEST[name] or "\x00" in text:
                raise Invalid(
                    f"the {name} {text[:40]!r} cannot be recorded",
                    where=f"event {self.type[:80]}",
                    why=f"It must have at most {_LONGEST[name]} characters and no zero character.",
                    next=f"use a shorter {name}",
                )
        return self


class Ledger(Protocol):
    """How events enter the ledger of one kind of database."""

    def enter(self, connection: Connection, events: list[Pending], *, durable: bool) -> Callable[[], Receipt]:
        """Add events inside their change's transaction; return what to call for the receipt after the commit."""
        ...

    def position_of_key(self, connection: Connection, key: str) -> int | None:
        """Return the position of the event that carries an idempotency key, and keep the key from others until the end
        of the transaction. Raises ``EventForged``."""
        ...

    def sequence(self) -> None:
        """Give a position to every committed event that still waits for one."""
        ...

    def sign(self) -> Signed:
        """Sign the ledger as it is, unless that was done; return the newest checkpoint."""
        ...

    def close(self) -> None:
        """Sign what this process has added and not yet signed."""
        ...


class _Named(msgspec.Struct):
    id: str


class _Columns(msgspec.Struct):
    id: str
    at: datetime
    actor: _Named
    type: str
    idempotency_key: str | None
    subjects: tuple[Subject, ...]
    rows: tuple[msgspec.Raw, ...] = ()


_columns = msgspec.json.Decoder(_Columns)


def pending_of(body: bytes) -> Pending:
    """Read an event's columns out of its body. Raises ``msgspec.DecodeError`` when it is not one."""
    columns = _columns.decode(body)
    return Pending(
        id=columns.id,
        at=columns.at.isoformat(),
        actor=columns.actor.id,
        type=columns.type,
        idempotency_key=columns.idempotency_key,
        body=body,
        subjects=columns.subjects,
        rules=bool(columns.rows),
    )
