"""Stop what runs, politely: it ends, waits for nobody, hands back what it was doing, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.journeys.asking import body_of
from tests.journeys.project import LongFit, write
from tests.journeys.shell import Server, Shell, ask, get, kill
from tests.waiting import PATIENCE_S, wait_until

KEY = body_of({"parcel_id": "p2995"})


def test_up_stops_whatever_it_is_doing(placed: Shell, long_fit: LongFit) -> None:
    """While it trains, while a page listens to its stream, and while a client keeps its connection open: none of these
    ends by itself, so a server that waited for one would not stop, or would note that it has cut it off."""
    shell = placed
    leave_half_an_apply(shell, long_fit)
    server = Server(shell)
    try:
        server.wait_until_it_answers()
        server.wait_until_ready()
        wait_until(lambda: training(shell), "the server trains", alive=server.process)
        with listening(server) as heard, held_open(server):
            assert ask(server.url + "/v2/models/slow/infer", KEY)[0] == 200
            wait_until(lambda: heard, "the stream says something")
            server.stop()
        assert "graceful shutdown exceeded" not in server.log
    finally:
        server.kill()
    wait_until(lambda: not shell.processes(), "its workers have ended")
    assert sum(event["data"]["count"] for event in shell.events("serving.decisions-sealed")) == 1
    (shell.folder / "quick").touch()
    shell.run("apply", "--yes", "--because", "try less")
    newest, _ = shell.json("get", "pipelines")
    assert newest["status"] == "succeeded"
    assert {step["name"]: step["attempts"] for step in newest["steps"]}["train-slow"] >= 3
    shell.run("verify")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_apply_is_stopped_and_goes_on(placed: Shell, long_fit: LongFit, number: signal.Signals, code: int) -> None:
    shell = placed
    write(shell.folder, **long_fit.text(shell.folder))
    process = shell.start("apply", "--yes", "--because", "try less")
    assert process.stdout is not None
    with process:
        next(line for line in process.stdout if line.startswith("train-slow ..."))
        wait_until(lambda: long_fit.has_begun, "it trains", alive=process)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == code
        rest = process.stdout.read()
    assert "Traceback" not in rest
    assert ("Stopped." in rest) == (number == signal.SIGINT)
    wait_until(lambda: not shell.processes(), "its workers have ended")
    (shell.folder / "quick").touch()
    shell.run("apply", "--yes", "--because", "try less")
    assert [run["status"] for run in shell.json("get", "pipelines")] == ["succeeded", "succeeded"]


def test_two_servers_at_one_port(approved: Shell) -> None:
    with approved.up() as server:
        port = server.url.rsplit(":", 1)[1]
        said = approved.run("up", "--port", port, code=1).err
        assert "cannot listen" in said
        assert "another port" in said
        assert get(server.url + "/healthz")[0] == 200
        assert approved.json("status")["server"] == server.url


def test_a_killed_server_is_not_taken_for_a_running_one(approved: Shell) -> None:
    """Its file stays behind, and its number may be another program's by now."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        left = {"url": f"http://127.0.0.1:{nobody.getsockname()[1]}", "pid": os.getpid()}
        (approved.home / "server.json").write_bytes(msgspec.json.encode(left))
        assert approved.json("status")["server"] is None
        assert approved.json("predict", "slow", "--example")["answered_by"] == "slow@1"


def test_programs_that_make_the_home_at_once(shell: Shell) -> None:
    """Nobody was first before: whoever is makes the database, and the others find it."""
    shell.folder.mkdir()
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", "from trimtab.store import open_store; open_store().close()"], cwd=shell.folder,
            env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    said = [(program.communicate(timeout=PATIENCE_S)[0], program.returncode) for program in programs]
    assert [code for _, code in said] == [0] * len(programs), said
    assert shell.json("status")["models"] == []
    shell.run("verify")


def leave_half_an_apply(shell: Shell, long_fit: LongFit) -> None:
    """Kill an apply while it trains, and leave the training to the server."""
    write(shell.folder, **long_fit.text(shell.folder))
    process = shell.start("apply", "--yes", "--because", "try less")
    assert process.stdout is not None
    with process:
        next(line for line in process.stdout if line.startswith("train-slow ..."))
        kill(process.pid)


def training(shell: Shell) -> bool:
    newest, _ = shell.json("get", "pipelines")
    step = next(step for step in newest["steps"] if step["name"] == "train-slow")
    return bool(step["status"] == "running" and step["attempts"] > 1)


@contextmanager
def listening(server: Server) -> Iterator[list[bytes]]:
    """Listen to the live stream, as an open page does."""
    place = urlsplit(server.url)
    heard: list[bytes] = []
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        connection.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")

        def listen() -> None:
            while piece := connection.recv(4096):
                heard.append(piece)

        thread = threading.Thread(target=listen)
        thread.start()
        yield heard
        thread.join()


@contextmanager
def held_open(server: Server) -> Iterator[None]:
    """Hold a connection open on which nothing is asked, as clients with a pool do."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        yield
