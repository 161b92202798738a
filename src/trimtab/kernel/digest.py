"""Digests: SHA-256 in the form ``sha256:<64 hex digits>``, the name of everything that must not change."""

import hashlib
from pathlib import Path
from typing import Any

from trimtab.kernel.canonical import canonical

PREFIX = "sha256:"


def digest_of_bytes(data: bytes | memoryview) -> str:
    """Return the digest of raw bytes."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Return the digest of a value's canonical JSON."""
    return digest_of_bytes(canonical(value))


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


def is_digest(text: str) -> bool:
    """Say whether a text has the form of a digest."""
    rest = text.removeprefix(PREFIX)
    return len(text) == 71 and len(rest) == 64 and all(c in "0123456789abcdef" for c in rest)
