"""Who holds the other end of a connection on this machine: what runs below a supervisor is user code."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import PATIENCE_S

from trimtab.server.peer_process import Peer, peer_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls stand on Linux only")

BELOW = """
import os, socket, sys
if os.fork():
    os.wait()
else:
    host, port = sys.argv[1:]
    connection = socket.create_connection((host, int(port)))
    connection.recv(1)
"""
"""A supervisor whose child connects, and stays until the connection is closed."""


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener


@pytest.fixture
def below(tmp_path: Path, listener: socket.socket) -> Iterator[socket.socket]:
    """The server's end of a connection from below a supervisor."""
    script = tmp_path / "trimtab" / "pipelines" / "supervisor.py"
    script.parent.mkdir(parents=True)
    script.write_text(BELOW)
    words = [sys.executable, str(script), *map(str, listener.getsockname()[:2])]
    with subprocess.Popen(words) as process:
        accepted = listener.accept()[0]
        with accepted:
            yield accepted
        process.wait(PATIENCE_S)


def peer_at(accepted: socket.socket) -> Peer:
    return peer_of(accepted.getpeername()[:2], accepted.getsockname()[:2])


def connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(listener.getsockname()[:2])
    return client, listener.accept()[0]


def test_what_runs_below_a_supervisor_is_user_code_and_others_are_not(
    listener: socket.socket, below: socket.socket
) -> None:
    client, accepted = connected(listener)
    with client, accepted:
        assert (peer_at(below), peer_at(accepted)) == (Peer.USER_CODE, Peer.OTHER)


def test_whoever_hides_the_connection_while_user_code_runs_is_unknown(
    listener: socket.socket, below: socket.socket
) -> None:
    client, accepted = connected(listener)
    ours, theirs = socket.socketpair()
    with ours, theirs, accepted:
        socket.send_fds(ours, [b"!"], [client.fileno()])
        client.close()  # on its way from one process to another, a socket is open in none
        assert peer_at(accepted) is Peer.UNKNOWN


def test_whoever_has_gone_is_unknown(listener: socket.socket) -> None:
    client, accepted = connected(listener)
    with accepted:
        client.close()
        accepted.recv(1)
        assert peer_at(accepted) is Peer.UNKNOWN


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "testclient"])
def test_whoever_a_proxy_says_to_be_elsewhere_is_unknown(listener: socket.socket, host: str) -> None:
    assert peer_of((host, 0), listener.getsockname()[:2]) is Peer.UNKNOWN


def test_what_is_asked_within_the_process_is_not_looked_for() -> None:
    assert peer_of(("testclient", 50000), ("testserver", 80)) is Peer.OTHER
