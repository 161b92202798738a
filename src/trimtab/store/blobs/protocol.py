"""What every blob store does, and how it says that it cannot."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from trimtab.kernel import Invalid, NotFound, is_digest
from trimtab.store.failures import StoreAway

Bytes = bytes | bytearray | memoryview
"""What can be kept: any buffer whose bytes lie one behind the other, whatever its items are."""


class Damaged(Invalid):
    """The bytes under a digest are not the bytes that were written."""

    code = "store.blob-damaged"
    default_why = "A blob is named by the SHA-256 of its bytes, and these bytes have another."
    default_next = "restore the blob from a backup, then run trimtab verify"


class Listed(msgspec.Struct, frozen=True):
    """A blob as a listing shows it: its bytes were counted, not read.

    ``written_at`` is when somebody last kept these bytes, in a bucket when they were last sent there, by the clock
    of the machine that has them.
    """

    digest: str
    size_bytes: int
    written_at: datetime


class Blobs(Protocol):
    """Where artifacts lie. Every method raises ``NotFound`` for an unknown digest; reading verifies."""

    def put(self, data: Bytes) -> str:
        """Keep bytes and return their digest; keeping the same bytes again only makes them young again."""
        ...

    def put_file(self, path: Path) -> str:
        """Keep a copy of a file's bytes and return their digest; the file is read in pieces."""
        ...

    def put_pieces(self, pieces: Iterable[bytes]) -> str:
        """Keep bytes that come in pieces and return their digest; what fails on the way is not kept."""
        ...

    def pieces(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in pieces; raise ``Damaged`` after the last one when they are not what the digest says."""
        ...

    def listed(self) -> Iterator[Listed]:
        """Yield every blob that is here, in no order."""
        ...

    def get(self, digest: str) -> bytes:
        """Return verified bytes; raise ``Damaged`` when they are not what the digest says."""
        ...

    def local_path(self, digest: str) -> Path:
        """Return the path of a local, verified file with these bytes, for readers that map files. Never write to it."""
        ...

    def check(self, digest: str) -> None:
        """Raise what ``local_path`` raises.

        For who asks again and again: bytes that this process has verified are not read again for a day, as long as
        the file system says of the same file that nobody has written to it.
        """
        ...

    def has(self, digest: str) -> bool:
        """Say whether a blob is here, without reading it."""
        ...

    def remove(self, digest: str, *, before: datetime) -> bool:
        """Remove a blob, unless somebody has kept its bytes at this time or later; say whether it was removed."""
        ...


def hex_of(digest: str) -> str:
    """Return the hex digits of a digest. Raises ``Invalid``, so that no other text ever becomes a path."""
    if not is_digest(digest):
        raise Invalid(
            f"{digest[:80]!r} is not a digest",
            where="store.blobs",
            why="Blobs are addressed by sha256:<64 hex digits> and by nothing else.",
            next="take the digest from trimtab get versions -o json, whole",
        )
    return digest.removeprefix("sha256:")


def flat(data: Bytes) -> memoryview:
    """Return a buffer as plain bytes: signed bytes or floats have another format, or another length, for some."""
    return memoryview(data).cast("B")


def verified(digest: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pass pieces on, and raise ``Damaged`` after the last one when they are not what the digest says."""
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
        yield piece
    if f"sha256:{hasher.hexdigest()}" != digest:
        raise damaged(digest)


def unknown(digest: str) -> NotFound:
    """Return the error for a digest under which nothing was kept."""
    return NotFound(
        f"there is no blob {digest[:19]}…",
        where="store.blobs",
        why="It was never kept here, or this store is not the one that kept it.",
        next="restore it from a backup, or name the store that kept it in the setting blobs: trimtab doctor shows it",
    )


def damaged(digest: str) -> Damaged:
    """Return the error for bytes that are not what their digest says."""
    return Damaged(f"blob {digest[:19]}… is damaged", where="store.blobs", digest=digest)


def unreadable(digest: str, error: OSError) -> StoreAway:
    """Return the error for bytes that the disk does not give out."""
    return StoreAway(
        f"blob {digest[:19]}… cannot be read",
        where="store.blobs",
        why=f"The disk says: {error.strerror}.",
        next="look at the disk and at who may read the folder blobs, then try again",
    )
