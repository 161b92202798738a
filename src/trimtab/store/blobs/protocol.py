"""What every blob store does, and how it says that it cannot."""

from pathlib import Path
from typing import Protocol

from trimtab.kernel import Invalid, NotFound, Unavailable, is_digest

Bytes = bytes | bytearray | memoryview
"""What can be kept: any buffer whose bytes lie one behind the other, whatever its items are."""


class Damaged(Invalid):
    """The bytes under a digest are not the bytes that were written."""

    code = "store.blob-damaged"
    default_why = "A blob is named by the SHA-256 of its bytes, and these bytes have another."
    default_next = "restore the blob from a backup, then run trimtab verify"


class Blobs(Protocol):
    """Where artifacts lie. Every method raises ``NotFound`` for an unknown digest; reading verifies."""

    def put(self, data: Bytes) -> str:
        """Keep bytes and return their digest; keeping the same bytes again changes nothing."""
        ...

    def put_file(self, path: Path) -> str:
        """Keep a copy of a file's bytes and return their digest; the file is read in pieces."""
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
    return Damaged(f"blob {digest[:19]}… is damaged", where="store.blobs")


def unreadable(digest: str, error: OSError) -> Unavailable:
    """Return the error for bytes that the disk does not give out."""
    return Unavailable(
        f"blob {digest[:19]}… cannot be read",
        where="store.blobs",
        why=f"The disk says: {error.strerror}.",
        next="look at the disk and at who may read the folder blobs, then try again",
    )
