"""The key that signs releases: one for each home, and the public keys of other homes that are trusted."""

import base64
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trimtab.kernel import Invalid, Refused
from trimtab.store import Store

FILE = "release.ed25519"
TRUSTED = "trusted"


class ReleaseKeys:
    """The folder ``keys`` of a home.

    ``release.ed25519`` is the private key (PEM, readable by its owner only), ``release.ed25519.pub`` the public one.
    ``trusted/*.pub`` are public keys of other homes whose releases are accepted here, as several hosts over one
    database need.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, store: Store) -> "ReleaseKeys":
        return cls(store.settings.home_path / "keys")

    def signing(self) -> Ed25519PrivateKey:
        """Return this home's key, made now if there is none. Raises ``Refused`` when others may read it."""
        return self._load() or self._make(Ed25519PrivateKey.generate())

    def make_repeatable(self, seed: bytes) -> None:
        """Make this home's key from 32 bytes that are no secret, unless it has one.

        For a replay, which must come out the same each time: anybody can make this key, so it vouches for nothing
        outside the replay's own home.
        """
        if self._load() is None:
            self._make(Ed25519PrivateKey.from_private_bytes(seed))

    def trusted(self) -> dict[str, Ed25519PublicKey]:
        """Return the public keys whose signatures count here, by their ids."""
        own = self._load()
        files = sorted((self._folder / TRUSTED).glob("*.pub"))
        if own is None and (self._folder / f"{FILE}.pub").exists():
            files.append(self._folder / f"{FILE}.pub")  # a host that checks releases need not be able to sign them
        keys = [read_public_key(file.read_bytes(), where=f"keys/{file.name}") for file in files]
        return {key_id(key): key for key in [*keys, *([own.public_key()] if own else [])]}

    def _load(self) -> Ed25519PrivateKey | None:
        path = self._folder / FILE
        try:
            mode, data = path.stat().st_mode, path.read_bytes()
        except FileNotFoundError:
            return None
        if os.name == "posix" and mode & 0o077:
            raise Refused(
                "the key that signs releases is open to others",
                where=f"keys/{FILE}",
                why="Whoever can read it can release any model.",
                next=f"chmod 600 keys/{FILE} in the home; which folder that is, says: trimtab doctor",
            )
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise Invalid(
                "the key that signs releases cannot be read",
                where=f"keys/{FILE}",
                why="It is an Ed25519 key in PEM form.",
                next="restore the file from a backup, or remove it to sign with a new key",
            )
        return key

    def _make(self, key: Ed25519PrivateKey) -> Ed25519PrivateKey:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        temporary = self._write(pem)
        try:
            # Two processes may make the key at once: the first to link its file decides for both.
            os.link(temporary, self._folder / FILE)
        except FileExistsError:
            loaded = self._load()
            assert loaded is not None
            key = loaded
        finally:
            temporary.unlink()
        public = self._folder / f"{FILE}.pub"
        self._write(public_pem(key.public_key())).replace(public)
        public.chmod(0o644)
        return key

    def _write(self, data: bytes) -> Path:
        """Write a new file that nobody else can read, and return its path."""
        path = self._folder / f".{FILE}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return path


def key_id(key: Ed25519PublicKey) -> str:
    """Return the short name of a public key: ``ed25519:`` and 16 hex digits of its SHA-256."""
    return "ed25519:" + hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key in PEM form."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_public_key(data: bytes, *, where: str) -> Ed25519PublicKey:
    """Read a public key in PEM form. Raises ``Invalid``."""
    try:
        key = serialization.load_pem_public_key(data)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Invalid(
            "a public key cannot be read",
            where=where,
            why="It is an Ed25519 key in PEM form.",
            next=f"copy {FILE}.pub from the home that signed the release",
        )
    return key


def is_signed(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    """Say whether a base64 signature over bytes is this key's."""
    try:
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):
        return False
    return True
