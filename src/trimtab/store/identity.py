"""Which home this is: an id in a file of its own, and a new one in a copy."""

import secrets
from pathlib import Path

import msgspec

from trimtab.kernel import locked

FILE = "identity.json"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The id of a home, and the folder that it was given to; ``copied_from`` is the id that a copy came with."""

    id: str
    folder: tuple[int, int]
    copied_from: str = ""


def folder_of(home: Path) -> tuple[int, int]:
    """Return what tells a folder from every other one on this machine, whatever it is called: device and number."""
    found = home.stat()
    return found.st_dev, found.st_ino


def identity_of(home: Path) -> Identity:
    """Return which home this is; the first time, and in a copy of another one, it is made now.

    A home that is moved within its disk stays the same; one that comes back from a backup is a copy.
    """
    path, here = home / FILE, folder_of(home)
    found = _read(path)
    if found is None or found.folder != here:
        with locked(home / "identity.lock"):
            found = _read(path)  # again: another process may have been quicker, and is right
            if found is None or found.folder != here:
                found = Identity(id=secrets.token_hex(16), folder=here, copied_from="" if found is None else found.id)
                temporary = home / f".{FILE}.new"
                temporary.write_bytes(msgspec.json.encode(found))
                temporary.replace(path)
    return found


def _read(path: Path) -> Identity | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
