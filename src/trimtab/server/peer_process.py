"""Who asks on this machine: user code behind the walls is known by its process, and is not the user who started it.

On Linux, where walls stand. What a step starts stays below its supervisor (see ``pipelines.supervisor``), so whoever
holds the other end of a connection is user code when it runs there.
"""

import ipaddress
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from trimtab.pipelines import below_supervisors, pids

End = tuple[str, int]
"""An address and a port."""
_GONE = "0"
"""The number of a socket whose process has closed it."""


class Peer(StrEnum):
    """Who holds the other end of a connection. ``unknown``: perhaps user code, as some runs and no holder is seen."""

    USER_CODE = "user code"
    UNKNOWN = "unknown"
    OTHER = "other"


def peer_of(client: End, server: End) -> Peer:
    """Look for whoever holds the client's end of a connection to this process."""
    if sys.platform != "linux" or not _is_address(server[0]):
        return Peer.OTHER  # where the server has no address, it is asked within its own process
    number, user = _socket_of(client, server)
    if os.geteuid() not in (0, user):
        return Peer.OTHER  # only root starts user code as somebody else
    return Peer.UNKNOWN if number == _GONE else _holder_of(number)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _socket_of(client: End, server: End) -> tuple[str, int]:
    """Return the number of the client's socket and its user, as the kernel lists them."""
    if not _is_address(client[0]):
        return _GONE, os.geteuid()  # a proxy says that somebody without an address asks
    for table, mapped in (("tcp", False), ("tcp6", True)):
        local, remote = _written(client, mapped=mapped), _written(server, mapped=mapped)
        for line in _read(f"/proc/net/{table}").decode().splitlines():
            if local and f" {local} {remote} " in line:
                fields = line.split()
                return fields[9], int(fields[7])
    return _GONE, os.geteuid()


def _written(end: End, *, mapped: bool) -> str:
    """Write an address and a port as the tables of IPv4 or, ``mapped``, of IPv6 do; empty where they hold none such."""
    address = ipaddress.ip_address(end[0])
    if address.version == 6 and not mapped:
        return ""
    packed = address.packed
    if address.version == 4 and mapped:
        packed = b"\0" * 10 + b"\xff\xff" + packed
    words = [int.from_bytes(packed[i : i + 4], sys.byteorder) for i in range(0, len(packed), 4)]
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"


@lru_cache(maxsize=1024)
def _holder_of(number: str) -> Peer:
    """Say who holds a socket. A number names one socket until the kernel has given all the others."""
    below = below_supervisors()
    if not below:
        return Peer.OTHER
    holders = {pid for pid in pids() if f"socket:[{number}]" in _open_in(pid)}
    if not holders:
        return Peer.UNKNOWN
    return Peer.USER_CODE if holders & below else Peer.OTHER


def _open_in(pid: int) -> Iterator[str]:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                try:
                    yield os.readlink(entry.path)  # noqa: PTH115  (thousands of them)
                except OSError:
                    continue  # it was closed meanwhile
    except OSError:
        return  # it has ended, or is not ours to look into


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
