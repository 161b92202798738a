"""A folder in which commands are typed: the real ``trimtab`` in processes of its own, and none of them left behind."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Settings

TRIMTAB = Path(sys.executable).parent / "trimtab"
NOW = "2013-03-05T00:00:00Z"
"""Where the clocks of these projects start: just after the last of their data."""
_MARK = "TRIMTAB_TEST_SHELL"


class Ran(NamedTuple):
    """What a command printed."""

    out: str
    err: str


class Shell:
    """A user at a prompt. Every process that starts here, and what it starts, can be found again and ended."""

    def __init__(self, folder: Path, *, database: str = "", blobs: str = "", blobs_endpoint: str = "") -> None:
        self.folder = folder
        self.home = folder / ".trimtab"
        self.database = database
        self._token = secrets.token_hex(8)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")}
        self.environment = plain | {_MARK: self._token, "TRIMTAB_CLOCK": NOW, "NO_COLOR": "1"}
        self.environment["TRIMTAB_GUEST_ENVIRONMENT"] = _MARK  # else workers could not be found by it
        for name, value in (("DATABASE", database), ("BLOBS", blobs), ("BLOBS_ENDPOINT", blobs_endpoint)):
            if value:
                self.environment[f"TRIMTAB_{name}"] = value

    @property
    def settings(self) -> Settings:
        """What the commands work with, for a look into the store beside them."""
        given = {name: self.environment.get(f"TRIMTAB_{name.upper()}", "") for name in ("blobs", "blobs_endpoint")}
        return Settings(home=str(self.home), database=self.database, **given)

    def run(self, *arguments: str, code: int = 0) -> Ran:
        """Type ``trimtab`` and these words, and hold it to its exit code."""
        done = subprocess.run(
            [TRIMTAB, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, (
            f"trimtab {' '.join(arguments)} -> {done.returncode}\n{done.stdout}{done.stderr}"
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.stdout, done.stderr)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Type a command with ``-o json`` and read what it prints."""
        return json.loads(self.run(*arguments, "-o", "json", code=code).out)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command and do not wait. What it prints on stdout and stderr can be read line by line."""
        return subprocess.Popen(
            [TRIMTAB, *arguments], cwd=self.folder, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @contextmanager
    def up(self) -> Iterator["Server"]:
        """Serve, and stop at the end as a service manager would. A server that was killed is left so."""
        server = Server(self)
        try:
            server.wait_until_it_answers()
            yield server
            server.stop()
        finally:
            server.kill()

    def events(self, type: str = "") -> list[dict[str, Any]]:
        """Return the events of the ledger, or those of one type, oldest first."""
        if not self.home.exists():
            return []  # asking makes no home
        found: list[dict[str, Any]] = self.json("get", "events", "-n", "1000", "--type", type)
        assert len(found) < 1000
        return sorted(found, key=lambda event: event["position"])

    def processes(self) -> dict[int, str]:
        """Return what runs of all that was started here, as far as it goes: its command line by its pid."""
        found = {}
        mark = f"{_MARK}={self._token}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0") and "Z" not in _state(process):
                    found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:300]
            except OSError:
                continue  # it ended, or is not ours
        return found

    def close(self) -> dict[int, str]:
        """End whatever still runs; return what did not end by itself."""
        with suppress(AssertionError):
            wait_until(lambda: not self.processes(), "everything has ended")
        left = self.processes()
        for pid in left:
            kill(pid)
        return left


class Server:
    """A running ``trimtab up``."""

    def __init__(self, shell: Shell) -> None:
        self.said = shell.folder / "up.txt"
        self._shell = shell
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [TRIMTAB, "up", "--port", "0"], cwd=shell.folder, env=shell.environment, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said,
            )  # fmt: skip
        self.url = ""

    @property
    def address(self) -> str:
        """Host and port, as clients of the inference protocol want them."""
        return self.url.removeprefix("http://")

    @property
    def log(self) -> str:
        """What it has noted of things that went wrong."""
        return (self._shell.home / "logs" / "server.log").read_text()

    def wait_until_it_answers(self) -> None:
        wait_until(self._has_said_where, "the server says where it is", alive=self.process)
        wait_until(lambda: get(self.url + "/readyz")[0] in (200, 503), "the server answers", alive=self.process)

    def wait_until_ready(self) -> None:
        wait_until(lambda: get(self.url + "/readyz")[0] == 200, "the server is ready", alive=self.process)

    def stop(self) -> None:
        """Ask it to stop, and hold it to doing so cleanly. Nothing happens when it is gone already."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.said.read_text()
        assert not (self._shell.home / "server.json").exists()

    def kill(self) -> None:
        """End it as a power failure would: this process only, at once."""
        self.process.kill()
        self.process.wait()

    def _has_said_where(self) -> bool:
        text = self.said.read_text()
        if "inference http" in text:
            self.url = text.split("Trimtab serves at ")[1].split()[0]
        return bool(self.url)


def kill(pid: int) -> None:
    """End one process at once; nothing happens when it is gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def get(url: str) -> tuple[int, Any]:
    """Ask for a page; return its status and its JSON. Status 0: nobody answers."""
    return ask(url, None)


def ask(url: str, body: Any) -> tuple[int, Any]:
    """Post JSON (None: only get); return the answer's status and its JSON. Status 0: nobody answers."""
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlsplit

    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_S)
    try:
        if body is None:
            connection.request("GET", place.path)
        else:
            connection.request("POST", place.path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, HTTPException):
        return 0, None
    finally:
        connection.close()


def _state(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[0]
