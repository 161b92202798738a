"""The keys that sign checkpoints: a file for each ledger in the folder ``keys`` of the home, readable by its owner."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from trimtab.kernel import Invalid, Refused
from trimtab.store.ledger.notes import PublicKey, SigningKey


class Keys:
    """The signing keys of a home. Each is made when it is first needed, and never leaves its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, SigningKey] = {}

    def of(self, origin: str) -> SigningKey:
        """Return the key of a ledger, made now if there is none. Raises ``Refused`` when others may read it."""
        key = self._loaded.get(origin)
        if key is None:
            key = self._loaded[origin] = self._load(origin) or self._make(origin)
        return key

    def public(self, origin: str) -> str | None:
        """Return the public key of a ledger in its text form, if this home has signed for it."""
        with suppress(FileNotFoundError, Invalid):
            return str(PublicKey.parse(self._path(origin, ".pub").read_text("utf-8", "replace")))
        # Whoever made the key was killed before it had written the other file, or that was damaged.
        key = self._load(origin)
        return None if key is None else str(key.public)

    def _path(self, origin: str, suffix: str) -> Path:
        return self._folder / f"ledger-{origin.rsplit('/', 1)[-1]}{suffix}"

    def _load(self, origin: str) -> SigningKey | None:
        path = self._path(origin, ".key")
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise Refused(
                    "a signing key is open to others",
                    where=f"keys/{path.name}",
                    why="Whoever can read the key can sign a ledger that never was.",
                    next=f"chmod 600 {path}",
                )
            return SigningKey.parse(path.read_text("utf-8", "replace"))
        except FileNotFoundError:
            return None

    def _make(self, origin: str) -> SigningKey:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = SigningKey.make(origin)
        path = self._path(origin, ".key")
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.text())
            file.flush()
            os.fsync(file.fileno())
        try:
            # Two processes may make a key at once: the one that links its file first decides for both.
            os.link(temporary, path)
        except FileExistsError:
            loaded = self._load(origin)
            assert loaded is not None
            key = loaded
        finally:
            temporary.unlink()
        self._path(origin, ".pub").write_text(f"{key.public}\n", "utf-8")
        return key
