"""Signed checkpoints: the C2SP forms signed-note and tlog-checkpoint, signed with Ed25519.

A checkpoint says "the ledger of this origin had this size and this root", and who signed that. Its text form is the
one that Go's checksum database, Sigstore and the public witnesses read.
"""

import base64
import binascii
import hashlib
import re
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trimtab.kernel import Invalid
from trimtab.store.ledger.tree import HASH_BYTES

ED25519 = b"\x01"
PRIVATE = "PRIVATE+KEY+"
MAX_BYTES = 1 << 16
_DASH = "\N{EM DASH} "


class Checkpoint(msgspec.Struct, frozen=True):
    """What a signed checkpoint says. ``note`` is its text with the signatures, exactly as it was received."""

    origin: str
    size: int
    root: bytes
    note: str

    @classmethod
    def parse(cls, note: str) -> "Checkpoint":
        """Read a checkpoint, without checking who signed it. Raises ``Invalid``."""
        text, _ = _parts(note)
        lines = text.split("\n")
        if len(lines) < 4 or not all(lines[:-1]):
            raise _malformed("it has fewer than three lines, or an empty one")
        origin, size, root = lines[0], lines[1], _decoded(lines[2])
        if not (size.isascii() and size.isdigit() and (size == "0" or size[0] != "0") and len(size) < 20):
            raise _malformed("its second line is not a size")
        if len(root) != HASH_BYTES:
            raise _malformed("its third line is not a root hash")
        return cls(origin, int(size), root, note)


class PublicKey(msgspec.Struct, frozen=True):
    """Who may have signed a note: a name and an Ed25519 key, in the text form ``name+id+base64``."""

    name: str
    id: bytes
    raw: bytes

    @classmethod
    def of(cls, name: str, raw: bytes) -> "PublicKey":
        return cls(name, key_id(name, raw), raw)

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Read the text form. Raises ``Invalid``."""
        name, _, rest = text.strip().partition("+")
        id_, _, encoded = rest.partition("+")
        key = _decoded(encoded)
        if not name or len(key) != 33 or key[:1] != ED25519 or id_ != key_id(name, key[1:]).hex():
            raise Invalid(
                f"{text[:80]!r} is not a ledger's public key",
                where="public key",
                why="It has the form name+id+base64, where the id is computed from the other two.",
                next="copy it from the file keys/ledger-….pub in the home of the ledger",
            )
        return cls.of(name, key[1:])

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.raw).decode()}"

    def has_signed(self, data: bytes, signature: str) -> bool:
        """Say whether a base64 signature over bytes is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(_decoded(signature), data)
        except InvalidSignature:
            return False
        return True

    def signed(self, note: str) -> bool | None:
        """Say whether this key's signature on a note is right; None when there is none by this key."""
        text, lines = _parts(note)
        found: bool | None = None
        for line in lines:
            name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
            signature = _decoded(encoded)
            if name == self.name and signature[:4] == self.id:
                try:
                    Ed25519PublicKey.from_public_bytes(self.raw).verify(signature[4:], text.encode())
                except InvalidSignature:
                    return False
                found = True
        return found


class Signer(Protocol):
    """Who holds the secret half of a key, in memory or in a token, and does with it what it is asked to."""

    @property
    def raw(self) -> bytes:
        """Return the public half: 32 bytes of Ed25519."""

    def sign(self, data: bytes) -> bytes:
        """Return the Ed25519 signature of data (RFC 8032): 64 bytes."""

    def derive(self, info: bytes) -> bytes:
        """Return 32 secret bytes for a purpose: always the same ones, which nobody can tell without the key."""


class Seed:
    """A ``Signer`` in memory."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def raw(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)

    def derive(self, info: bytes) -> bytes:
        """Return 32 secret bytes for a purpose (HKDF with SHA-256, RFC 5869)."""
        return HKDF(SHA256(), HASH_BYTES, salt=None, info=info).derive(self._seed)


class SigningKey:
    """The secret half of a ``PublicKey``: its name, who holds it, and the line of a key file that says so."""

    def __init__(self, name: str, signer: Signer, line: str) -> None:
        self.public = PublicKey.of(name, signer.raw)
        self.signature = signer.sign
        """Returns the Ed25519 signature of other data than a note, such as a message to a webhook."""
        self.mac = HMAC(signer.derive(b"trimtab.event/1"), SHA256())
        """Begins the codes that authenticate events: under a secret that is derived from the key."""
        self._line = line

    @classmethod
    def make(cls, name: str) -> "SigningKey":
        """Make a key that a file holds: ``PRIVATE+KEY+name+id+base64``."""
        seed = Ed25519PrivateKey.generate().private_bytes_raw()
        id_, encoded = key_id(name, Seed(seed).raw).hex(), base64.b64encode(ED25519 + seed).decode()
        return cls(name, Seed(seed), f"{PRIVATE}{name}+{id_}+{encoded}")

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read a key that a file holds. Raises ``Invalid``, which never shows it."""
        name, _, rest = text.strip().removeprefix(PRIVATE).partition("+")
        id_, _, encoded = rest.partition("+")
        seed = _decoded(encoded)
        if text.startswith(PRIVATE) and name and len(seed) == 33 and seed[:1] == ED25519:
            key = cls(name, Seed(seed[1:]), text.strip())
            if key.public.id.hex() == id_.lower():
                return key
        raise Invalid(
            "a signing key cannot be read",
            where="home folder keys",
            why="A key file holds one line: PRIVATE+KEY+name+id+base64, or the address of a token, pkcs11:....",
            next="restore the file from a backup; without one: trimtab ledger new-key",
        )

    def text(self) -> str:
        """Return the line of a key file, to be kept secret."""
        return f"{self._line}\n"

    def sign(self, text: str) -> str:
        """Return the note: the text, an empty line, and this key's signature."""
        signature = base64.b64encode(self.public.id + self.signature(text.encode())).decode()
        return f"{text}\n{_DASH}{self.public.name} {signature}\n"

    def checkpoint(self, size: int, root: bytes) -> str:
        """Return the signed checkpoint of the ledger that is named like this key."""
        return self.sign(f"{self.public.name}\n{size}\n{base64.b64encode(root).decode()}\n")


def key_id(name: str, raw: bytes) -> bytes:
    """Return the four bytes that name a key in a signature."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + raw).digest()[:4]


def _parts(note: str) -> tuple[str, list[str]]:
    """Split a note at its last empty line into the signed text and the signature lines."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or lines.pop() != "" or not lines or not all(line.startswith(_DASH) for line in lines):
        raise _malformed("it has no signature lines after an empty line")
    if len(note) > MAX_BYTES or _NO_TEXT.search(note):
        raise _malformed("it is too long or has control characters")
    return text + "\n", lines


def _decoded(text: str) -> bytes:
    """Decode base64, of which only one spelling counts (unused bits are zero); anything else is empty."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if base64.b64encode(data).decode() == text else b""


_NO_TEXT = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""What has no place in a note: control characters but the end of a line, and halves of surrogate pairs."""


def _malformed(why: str) -> Invalid:
    return Invalid(
        "a checkpoint cannot be read",
        where="checkpoint",
        why=f"As a C2SP tlog-checkpoint {why}.",
        next="trimtab verify",
    )
