"""Find the server of a home: where it can be reached, and whether what answers there is that server."""

import os
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from trimtab.kernel import Settings
from trimtab.server.records import Health
from trimtab.store import folder_of

PROBE_S = 2.0
"""How long a server may take to answer when somebody asks whether it is there."""
_MOST_BYTES = 10_000


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running server can be found; the file ``server.json`` in the home says so while it runs.

    ``instance`` names this one start, and the server says it too. ``folder`` is the home itself, by device and number:
    in a copy of the home the file names a folder that the copy is not.
    """

    url: str
    pid: int
    instance: str
    folder: tuple[int, int]


def running_server(settings: Settings) -> Address | None:
    """Return the server that serves this home, or None when there is none. The server of a copy's original is none."""
    address = _address_in(_file(settings))
    if address is None or address.folder != folder_of(settings.home_path):
        return None
    return address if _answers(address) else None


def note_address(settings: Settings, address: Address) -> None:
    """Say in the home where its server is found."""
    _file(settings).write_bytes(msgspec.json.encode(address))


def forget_address(settings: Settings, address: Address) -> None:
    """Take back what ``note_address`` said, unless another server of this home has come later."""
    if _address_in(_file(settings)) == address:
        _file(settings).unlink(missing_ok=True)


def address_of(settings: Settings, *, host: str, port: int, instance: str) -> Address:
    """Return the address of the server of a home that listens at a port of this process."""
    shown = f"[{host}]" if ":" in host else host
    return Address(
        url=f"http://{shown}:{port}", pid=os.getpid(), instance=instance, folder=folder_of(settings.home_path)
    )


def _answers(address: Address) -> bool:
    """Say whether this server answers there: a killed one's file stays, and its port may be another's by now."""
    place = urlsplit(address.url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=PROBE_S)
    try:
        connection.request("GET", "/healthz")
        said = msgspec.json.decode(connection.getresponse().read(_MOST_BYTES), type=Health)
    except TimeoutError:
        return True  # it took the call, and is busy
    except (OSError, HTTPException, msgspec.DecodeError, UnicodeDecodeError):
        return False
    finally:
        connection.close()
    return said.instance == address.instance


def _file(settings: Settings) -> Path:
    return settings.home_path / "server.json"


def _address_in(file: Path) -> Address | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Address)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return None
