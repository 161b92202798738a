"""Blobs as files in a folder: ``ab/cdef...`` by the hex digits of the digest."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from trimtab.kernel import Invalid, NotFound, SystemClock, digest_of_bytes, digest_of_file, is_digest, locked
from trimtab.store.blobs.protocol import (
    Bytes,
    Listed,
    damaged,
    flat,
    hex_of,
    unknown,
    unreadable,
    verified,
)
from trimtab.store.failures import StoreAway

_PIECE = 1 << 20
_ABANDONED_S = 3600.0
"""A blob that nobody has added to for so long is not being written any more."""
_BELIEVED_S = 86_400.0
"""How long a file that nobody has written to counts as verified: a disk may lose bytes by itself."""
_LOCK = "lock"
"""Held by whoever gives a blob its name, makes it young again or removes it: none of them takes more than a moment."""
_SETTLED_S = 2.0
"""A file that was changed less long ago may be changed again without showing it: the kernel's times are coarse."""


class LocalBlobs:
    """Blobs in a folder. A blob appears under its name at once and whole, and stays there after a power failure."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clock = SystemClock()
        self._verified: dict[str, tuple[tuple[int, ...], float]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Invalid(
                f"{folder.name} is no folder",
                where="store.blobs",
                why=f"Blobs are files in a folder of the home; the system says: {error.strerror}.",
                next=f"move away what stands at {folder}",
            ) from None
        self._sweep()

    def put(self, data: Bytes) -> str:
        plain = flat(data)
        digest = digest_of_bytes(plain)
        if not (self._holds(digest) and self._renewed(digest)):
            self._write([plain])
        return digest

    def put_file(self, path: Path) -> str:
        # Hashed while it is copied: what is kept is what was hashed, even if somebody writes to the file meanwhile.
        try:
            with path.open("rb") as file:
                return self._write(iter(lambda: file.read(_PIECE), b""))
        except FileNotFoundError:
            raise NotFound(
                f"there is no file {path.name}",
                where="store.blobs",
                why="A blob is a copy of a file's bytes.",
                next="check the path",
            ) from None

    def put_pieces(self, pieces: Iterable[bytes]) -> str:
        return self._write(pieces)

    def pieces(self, digest: str) -> Iterator[bytes]:
        with _readable(digest), self._path(digest).open("rb") as file:
            yield from verified(digest, iter(lambda: file.read(_PIECE), b""))

    def listed(self) -> Iterator[Listed]:
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            digest = f"sha256:{path.parent.name}{path.name}"
            if is_digest(digest):
                with suppress(FileNotFoundError):
                    found = path.stat()
                    yield Listed(digest, found.st_size, _moment(found))

    def get(self, digest: str) -> bytes:
        with _readable(digest):
            data = self._path(digest).read_bytes()
        if digest_of_bytes(data) != digest:
            raise damaged(digest)
        return data

    def local_path(self, digest: str) -> Path:
        path = self._path(digest)
        with _readable(digest):
            found = digest_of_file(path)
        if found != digest:
            raise damaged(digest)
        return path

    def check(self, digest: str) -> None:
        now = self._clock.monotonic()
        with _readable(digest):
            # The time of a file's last change is the kernel's: who writes to it cannot set it back.
            found = self._path(digest).stat()
        looks = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        was, at = self._verified.get(digest, ((), 0.0))
        if was != looks or now - at > _BELIEVED_S:
            self._verified.pop(digest, None)
            self.local_path(digest)
            if self._clock.now().timestamp() - found.st_ctime > _SETTLED_S:
                self._verified[digest] = (looks, now)

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def remove(self, digest: str, *, before: datetime) -> bool:
        path = self._path(digest)
        with self._naming():
            try:
                if _moment(path.stat()) >= before:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def discard(self, digest: str) -> None:
        """Remove a blob; nothing happens when it is not here."""
        self._path(digest).unlink(missing_ok=True)

    def _holds(self, digest: str) -> bool:
        """Say whether a blob is here and whole: a damaged one is written anew when somebody brings its bytes."""
        try:
            return digest_of_file(self._path(digest)) == digest
        except OSError:
            return False

    def _renewed(self, digest: str) -> bool:
        """Make a blob young again; say whether it is still here."""
        with self._naming():
            try:
                os.utime(self._path(digest))
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Be the only one, of all processes, that changes which blobs are here or how old they are."""
        with _disk(), locked(self._folder / _LOCK):
            yield

    def _path(self, digest: str) -> Path:
        name = hex_of(digest)
        return self._folder / name[:2] / name[2:]

    def _write(self, pieces: Iterable[bytes | memoryview]) -> str:
        temporary = self._folder / f".{os.getpid()}.{secrets.token_hex(8)}"
        hasher = hashlib.sha256()
        try:
            with _disk(), temporary.open("xb") as file:
                for piece in pieces:
                    hasher.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            digest = f"sha256:{hasher.hexdigest()}"
            target = self._path(digest)
            if not (self._holds(digest) and self._renewed(digest)):
                with _disk():
                    self._make_folder(target.parent)
                    with self._naming():
                        temporary.replace(target)
                        os.utime(target)
                    _force_folder(target.parent)
            return digest
        finally:
            temporary.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed processes left half written. Their age tells: they may be of another machine."""
        now = self._clock.now().timestamp()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.name.startswith(".") and now - entry.stat().st_mtime > _ABANDONED_S:
                        Path(entry.path).unlink()

    def _make_folder(self, folder: Path) -> None:
        with suppress(FileExistsError):
            folder.mkdir()
            _force_folder(self._folder)


def _moment(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


@contextmanager
def _readable(digest: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise unknown(digest) from None
    except OSError as error:
        raise unreadable(digest, error) from error


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreAway(
            "a blob cannot be written",
            where="store.blobs",
            why=f"The disk says: {error.strerror}.",
            next="make room on the disk that holds the blobs, then try again",
        ) from error


def _force_folder(folder: Path) -> None:
    """Force a folder's entries to disk: without it a renamed file may be gone after a power failure."""
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
