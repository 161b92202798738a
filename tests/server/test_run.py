"""A real process: it starts, answers, streams, refuses to be open to everyone, and stops without losing anything."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pytest
from tests.serving.late import FakeReleases, route
from tests.serving.test_registered import entered, routed
from tests.serving.test_served import counting_graph
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import VERSION, Settings
from trimtab.server.run import STOP_S
from trimtab.server.throttle import FREE
from trimtab.serving import decisions
from trimtab.store import open_store
from trimtab.tracking import pack_model

Started = subprocess.Popen[str]
Start = Callable[..., Started]
SLACK_S = 10.0
"""What a slow machine may take longer than the server promises."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `trimtab up` on a home of the test's own."""
    running: list[Started] = []
    environment = {**os.environ, "TRIMTAB_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}

    def up(*words: str, program: str = "", **more: str) -> Started:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{program}\nfrom trimtab.cli import main; main()", "up", "--port", "0", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | more, cwd=tmp_path,
        )  # fmt: skip
        running.append(process)
        return process

    yield up
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _port(process: Started) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("Trimtab serves at "):
        process.kill()
        pytest.fail(line + process.communicate()[1])
    return int(line.split()[3].rpartition(":")[2])


def _ask(port: int, path: str, *, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    is_json = "json" in answer.headers.get("content-type", "")
    return answer.status, json.loads(text) if is_json else text


def _ready(process: Started) -> int:
    """Return the port of a server that has loaded what it serves; before, it answers 503 where it would answer 404."""
    port = _port(process)
    wait_until(lambda: _ask(port, "/readyz")[0] == 200, "the server is ready", alive=process)
    return port


def _ended(process: Started) -> tuple[int, str]:
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


def test_a_server_answers_and_stops_cleanly(start: Start, tmp_path: Path) -> None:
    process = start()
    port = _port(process)
    address = tmp_path / "home" / "server.json"
    told = json.loads(address.read_text())
    assert (told["url"], told["pid"]) == (f"http://127.0.0.1:{port}", process.pid)
    assert _ask(port, "/healthz")[1]["status"] == "ok"
    wait_until(lambda: _ask(port, "/readyz")[0] == 200, "the server is ready", alive=process)
    assert _ask(port, "/v2/health/ready")[0] == 200
    assert _ask(port, "/ui")[0] == 200
    assert "admin" in _ask(port, "/api/v1/me")[1]["may"]
    status, run = _ask(port, "/api/v1/runs", method="POST", body={"name": "x"}, Trimtab_Because="to see")
    assert status in (200, 201), run
    assert _ended(process) == (0, "")
    assert not address.exists()
    assert (tmp_path / "home" / "logs" / "server.log").read_text() == ""


def test_an_open_stream_does_not_keep_the_server_from_stopping(start: Start, tmp_path: Path) -> None:
    process = start()
    port = _port(process)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", "/api/v1/live")
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    before = int(answer.readline().removeprefix(b"data: "))
    _ask(port, "/api/v1/tokens", method="POST", body={"name": "ci"})
    answer.readline()
    assert int(answer.readline().removeprefix(b"data: ")) == before + 1
    assert _ended(process)[0] == 0
    answer.read()  # raises IncompleteRead where the stream was cut off rather than ended
    # A stream that is still open when the server's patience is over would be noted here.
    assert (tmp_path / "home" / "logs" / "server.log").read_text() == ""
    connection.close()


def test_a_killed_server_leaves_a_home_that_serves_again(start: Start) -> None:
    process = start()
    port = _port(process)
    secret = _ask(port, "/api/v1/tokens", method="POST", body={"name": "ci"})[1]["secret"]
    process.kill()
    process.wait()
    again = _port(start())
    assert _ask(again, "/api/v1/me", Authorization=f"Bearer {secret}")[1]["actor"]["id"] == "ci"
    assert _ask(again, "/api/v1/ledger/verification")[1]["kind"] == "intact"


def test_a_server_that_others_can_reach_needs_a_token(start: Start, tmp_path: Path) -> None:
    process = start("--host", "0.0.0.0")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "the server would be open to everyone" in err
    subprocess.run(
        [sys.executable, "-c", "from trimtab.cli import main; main()", "token", "create", "me", "--may", "admin"],
        env={**os.environ, "TRIMTAB_HOME": str(tmp_path / "home")}, check=True, capture_output=True,
    )  # fmt: skip
    port = _port(start("--host", "0.0.0.0"))
    assert _ask(port, "/healthz")[0] == 200
    assert _ask(port, "/api/v1/runs")[0] == 401
    assert _ask(port, "/v2")[0] == 401
    assert _ask(port, "/v2/models/x/infer", method="POST", body={})[0] == 401


def test_other_names_are_refused_on_this_machine_and_inference_is_behind_the_same_doors(start: Start) -> None:
    port = _ready(start())
    assert _ask(port, "/v2", Host="evil.example")[0] == 403
    assert _ask(port, "/v2/models/x/infer", method="POST", body={}, Sec_Fetch_Site="cross-site")[0] == 403
    assert _ask(port, "/v2/models/x", method="GET")[0] == 404


@pytest.mark.parametrize(("proxies", "slowed"), [("", True), ("127.0.0.1", False), ("10.0.0.0/8", True)])
def test_only_a_proxy_that_is_named_says_who_called(start: Start, proxies: str, *, slowed: bool) -> None:
    port = _port(start(TRIMTAB_PROXIES=proxies))

    def guess(number: int, caller: int) -> int:
        return _ask(port, "/api/v1/me", Authorization=f"Bearer trimtab_{number}", X_Forwarded_For=f"192.0.2.{caller}")[
            0
        ]

    found = {guess(number, number) for number in range(FREE * 2)}
    assert found == ({401, 429} if slowed else {401})
    assert 429 in {guess(number, 99) for number in range(100, 100 + FREE * 2)}


def test_a_taken_port_is_told(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("--port", str(taken.getsockname()[1]))
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "cannot listen at 127.0.0.1" in err
    assert "--port" in err


def test_names_that_are_set_are_answered(start: Start, tmp_path: Path) -> None:
    process = start(TRIMTAB_HOSTS="trimtab.example")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "open to everyone" in err) == (1, True)


HANGS = """
import threading
from trimtab.server import rooms

async def stop(self):
    threading.Event().wait()

rooms.Rooms.stop = stop
"""


def test_what_does_not_end_does_not_keep_the_server_from_ending(start: Start, tmp_path: Path) -> None:
    process = start(program=HANGS)
    _ready(process)
    assert _ended(process) == (0, "")
    assert not (tmp_path / "home" / "server.json").exists()
    assert "did not stop within" in (tmp_path / "home" / "logs" / "server.log").read_text()


def _endless(home: Path) -> None:
    """Route a model that counts as far as a request says, with a shadow: far enough, it does not come back."""
    graph = onnx.load_model_from_string(counting_graph())
    with closing(open_store(Settings(home=str(home)))) as store:
        for number in (1, 2):
            entered(store, pack_model(graph, pd.DataFrame({"count": [number]})))
        routed(store, shadow=(2,))


def _count_to(number: int) -> bytes:
    count = {"name": "count", "shape": [1], "datatype": "INT64", "data": [number]}
    return json.dumps({"inputs": [count]}).encode()


class Client(threading.Thread):
    """Asks on and on over one connection, until it breaks."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.answers: list[tuple[int, Any]] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def run(self) -> None:
        with closing(self._connection) as connection, suppress(ConnectionError):
            while True:
                connection.request("POST", "/v2/models/late/infer", _count_to(1000))
                answer = connection.getresponse()
                self.answers.append((answer.status, json.loads(answer.read())))


def test_the_server_stops_in_time_whatever_is_under_way(start: Start, tmp_path: Path) -> None:
    """Clients that go on asking, a call of a model that does not come back, and a shadow that sees every answer."""
    _endless(tmp_path / "home")
    process = start()
    port = _ready(process)
    clients = [Client(port) for _ in range(4)]
    with _connected(port) as stuck:
        body = _count_to(10**15)
        stuck.sendall(
            b"POST /v2/models/late/infer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert stuck.recv(100).startswith(b"HTTP/1.1 100 "), "it is under way"
        stuck.sendall(body)
        for client in clients:
            client.start()
        wait_until(lambda: all(len(client.answers) > 10 for client in clients), "they are answered", alive=process)
        began = time.monotonic()
        assert _ended(process) == (0, "")
        took_s = time.monotonic() - began
        answer = http.client.HTTPResponse(stuck)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (503, "server.stopping")
    for client in clients:
        client.join()
    assert took_s < STOP_S + SLACK_S
    assert "Traceback" not in (tmp_path / "home" / "logs" / "server.log").read_text()
    answers = [answer for client in clients for answer in client.answers]
    assert {told.get("code") for status, told in answers if status != 200} <= {"server.stopping"}
    heard = {told["parameters"]["decision_ids"] for status, told in answers if status == 200}
    with closing(open_store(Settings(home=str(tmp_path / "home")))) as store:
        logged = decisions(store, "late", limit=10**6)
    taken = {one.id for one in logged if one.stage == "full"}
    assert heard <= taken, "what was answered is kept"
    assert len(taken - heard) <= len(clients), "each had one request under way at most"
    assert {one.version for one in logged if one.stage == "shadow"} == {2}


def test_an_endpoint_that_cannot_be_loaded_is_not_ready_and_the_server_is(start: Start, tmp_path: Path) -> None:
    with closing(open_store(Settings(home=str(tmp_path / "home")))) as store:
        releases = FakeReleases()
        releases.release(store, 1, None, digest=store.blobs.put(b"no model"))
        route(store, releases)
    port = _ready(start())
    status, told = _ask(port, "/readyz")
    assert (status, told["status"], told["version"], told["endpoints"]) == (200, "ok", VERSION, {"late": False})
    assert _ask(port, "/v2/health/ready")[0] == 200
    status, told = _ask(port, "/v2/models/late/ready")
    assert (status, told["code"]) == (503, "serving.not-ready")
    assert _ask(port, "/v2/models/other/ready")[0] == 404


def test_the_limits_of_connections_are_settings(start: Start) -> None:
    port = _ready(start(TRIMTAB_HTTP_HEAD_BYTES="2048", TRIMTAB_HTTP_BODY_BYTES="2048", TRIMTAB_HTTP_TIMEOUT_S="0.5"))
    assert _ask(port, "/healthz", X="x" * 4096)[0] == 431
    assert _ask(port, "/v2/models/late/infer", method="POST", body="x" * 4096)[0] == 413
    with _connected(port) as connection:
        connection.sendall(b"GET / HT")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_no_more_connections_than_are_set_are_in_use(start: Start) -> None:
    port = _ready(start(TRIMTAB_HTTP_CONNECTIONS="2"))
    head = b"POST /v2/models/late/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    with ExitStack() as opened:
        busy = [opened.enter_context(_connected(port)) for _ in range(2)]
        for one in busy:
            one.sendall(head + b"Expect: 100-continue\r\n\r\n")
            assert one.recv(100).startswith(b"HTTP/1.1 100 "), "its body is awaited"
        with _connected(port) as another:
            assert b"server.too-many-connections" in another.recv(1000)
    wait_until(lambda: _ask(port, "/healthz")[0] == 200, "they have ended")


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
