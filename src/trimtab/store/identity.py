"""Which home this is: an id in a file of its own, and a new one in a copy."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

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
    if found is not None and found.folder == here:
        return found
    made = Identity(id=secrets.token_hex(16), folder=here, copied_from="" if found is None else found.id)
    temporary = home / f".{FILE}.{secrets.token_hex(4)}"
    temporary.write_bytes(msgspec.json.encode(made))
    try:
        if found is None and not path.exists():
            with suppress(FileExistsError):  # another process was quicker, and is right
                os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return _read(path) or made


def _read(path: Path) -> Identity | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
