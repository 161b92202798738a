"""Those who are killed while they work, each begun again at once: servers, commands, clients, sessions, a bucket."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

import psycopg
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from tests.conftest import POSTGRES
from tests.faults.killed_client import ENOUGH
from tests.journeys.asking import body_of
from tests.journeys.project import FILE, write
from tests.journeys.shell import Shell, get, kill
from tests.journeys.traffic import Answered, Traffic
from tests.waiting import wait_until
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

PROGRAM = Path(__file__).with_name("warm_parent.py")
ROOT = Path(__file__).parents[2]
BODIES = [body_of({"parcel_id": f"p{number}"}) for number in range(2960, 3000)]
CLIENTS = 2
"""Of each server."""
LOOKS_EVERY_S = 0.05
"""Looking whether all are well takes what they have to share."""
AWAY = re.compile(r"^error: .*(does not answer( as it should)?|cannot be reached|is not known yet)$", re.MULTILINE)
GIVEN_UP = re.compile(r"^error: step .*: the worker process was killed by SIGKILL$", re.MULTILINE)
"""A step that has lost as many workers as it may."""
"""What a command says that ends because the database or the bucket is away."""
T = TypeVar("T")


class Parent:
    """The warm parent of whatever is killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._asking = Lock()

    @classmethod
    @contextmanager
    def of(cls, shell: Shell) -> Iterator["Parent"]:
        environment = shell.environment | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [sys.executable, PROGRAM], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            yield cls(process)
            assert process.stdin is not None
            process.stdin.close()

    def ask(self, order: dict[str, Any]) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:
            self._process.stdin.write(f"{json.dumps(order)}\n")
            self._process.stdin.flush()
            answer: int | None = json.loads(self._process.stdout.readline())
            return answer

    def start(self, shell: Shell, *words: str, said: str) -> "Life":
        return Life(self, shell, words, shell.folder / said)

    def run(self, shell: Shell, *words: str, code: int = 0) -> str:
        """Let a command run to its end; return what it printed."""
        life = self.start(shell, *words, said=f"{words[0]}.txt")
        life.said.write_text("")
        wait_until(lambda: life.is_over, f"{words} is over")
        assert life.code == code, f"{words} -> {life.code}\n{life.text}"
        return life.text


class Life:
    """A forked process, from its start to its end."""

    def __init__(self, parent: Parent, shell: Shell, words: tuple[str, ...], said: Path) -> None:
        self.said = said
        self.code: int | None = None
        self._parent = parent
        environment = shell.environment | {"PYTHONPATH": str(ROOT)}
        order = {"words": words, "folder": str(shell.folder), "environment": environment, "said": str(said)}
        pid = parent.ask(order)
        assert pid
        self.pid = pid

    @property
    def is_over(self) -> bool:
        if self.code is None:
            self.code = self._parent.ask({"pid": self.pid})
        return self.code is not None

    @property
    def text(self) -> str:
        return self.said.read_text() if self.said.exists() else ""

    def kill(self) -> bool:
        """End it as a power failure would: this process only, at once. Say whether it had not ended by itself."""
        kill(self.pid)
        wait_until(lambda: self.is_over, "the killed is over")
        return self.code == -signal.SIGKILL


class Host:
    """A server with clients that ask it on and on, life after life."""

    def __init__(self, parent: Parent, shell: Shell) -> None:
        self.shell = shell
        self.answered: list[Answered] = []
        self.refused: list[tuple[int, str]] = []
        self.url = ""
        """Where it answers; empty while it does not."""
        self._parent = parent
        self._lives = 0
        self._traffic: Traffic | None = None
        self._start()

    def tend(self) -> None:
        """Let clients ask as soon as it is ready. Unless it is killed, it ends only where the database is away then."""
        if self._life.is_over:
            self._check_end()
            self._start()  # as a service manager would
        if self._traffic is None and "inference http" in (text := self._life.text):
            url = text.split("Trimtab serves at ")[1].split()[0]
            if get(f"{url}/readyz")[0] == get(f"{url}/v2/models/slow/ready")[0] == 200:
                self.url = url
                self._traffic = Traffic(url, "slow", BODIES, clients=CLIENTS, pause_s=0.04)
                self._traffic.answered, self._traffic.refused = self.answered, self.refused
                self._traffic.__enter__()
        assert self._traffic is None or not self._traffic.broken, self._traffic.broken

    @property
    def serves(self) -> bool:
        return self._traffic is not None

    def kill(self) -> None:
        if not self._life.kill():
            self._check_end()
        if (traffic := self._traffic) is not None:
            wait_until(lambda: len(traffic.broken) == CLIENTS, "every client was cut off, or found nobody")
            traffic.__exit__()
            self._traffic = None
        self.url = ""
        self._start()

    def rest(self) -> None:
        """Let the clients end."""
        if self._traffic is not None:
            self._traffic.__exit__()
            assert self._traffic.broken == []

    def stop(self) -> None:
        self.rest()
        os.kill(self._life.pid, signal.SIGTERM)
        wait_until(lambda: self._life.is_over, "the server has stopped")
        assert self._life.code == 0, self._life.text

    def _check_end(self) -> None:
        life = self._life
        has_begun = self._traffic is not None or "inference http" in life.text
        assert not has_begun, f"the server ended with {life.code}\n{life.text}"
        assert life.code == 1, life.text
        assert AWAY.search(life.text), life.text

    def _start(self) -> None:
        self._lives += 1
        self._life = self._parent.start(self.shell, "up", "--port", "0", said=f"up-{self._lives}.txt")


class Applying:
    """One ``apply`` after the other, each of another file; one that was killed is typed again."""

    def __init__(self, parent: Parent, shells: tuple[Shell, Shell]) -> None:
        self.done: list[tuple[str, str]] = []
        """The run and the version that each told of at its end."""
        self.life: Life | None = None
        self._parent = parent
        self._shells = shells
        self._count = 0
        self._written = 0
        self._is_enough = False

    def tend(self) -> None:
        if self.life is not None and not self.life.is_over:
            return
        if self.life is not None:
            self._take(self.life)
        if self._is_enough and self._written == len(self.done):
            self.life = None
            return
        if self._written == len(self.done):
            self._written += 1
            for shell in self._shells:
                write(shell.folder, models=1, **{"strength=1.0": f"strength={self._written / 7:.3f}"})
        self._count += 1
        shell = self._shells[self._written % 2]
        because = f"strength {self._written}"
        self.life = self._parent.start(
            shell, "apply", "--yes", "--because", because, said=f"apply-{self._count}.txt"
        )  # fmt: skip

    def enough(self) -> None:
        self._is_enough = True

    @property
    def is_done(self) -> bool:
        return self._is_enough and self.life is None

    def _take(self, life: Life) -> None:
        if life.code == -signal.SIGKILL or (life.code == 1 and (AWAY.search(life.text) or GIVEN_UP.search(life.text))):
            return  # it is typed again
        assert life.code == 0, f"apply -> {life.code}\n{life.text}"
        version = re.search(r"slow@(\d+) passed its gate", life.text)
        run = re.search(r"Done in run (\w+)\.", life.text)
        # A run that the servers ended meanwhile leaves the next apply nothing to tell.
        self.done.append((run[1] if run else "", version[1] if version else ""))


class Writing:
    """The client that writes to the store."""

    def __init__(self, parent: Parent, shell: Shell) -> None:
        self.acknowledged = shell.folder / "acknowledged"
        self.acknowledged.touch()
        self._parent = parent
        self._shell = shell
        self._lives = 0
        self._start()

    def tend(self) -> None:
        assert not self.life.is_over or self.is_done, f"the client ended with {self.life.code}\n{self.life.text}"

    def kill(self) -> None:
        assert self.life.kill(), f"the client ended with {self.life.code}\n{self.life.text}"
        self._start()

    def enough(self) -> None:
        self.acknowledged.with_suffix(ENOUGH).touch()

    @property
    def is_done(self) -> bool:
        return self.life.is_over and self.life.code == 0

    @property
    def told(self) -> list[list[str]]:
        """Return what it was told is done, line by line."""
        return [line.split() for line in self.acknowledged.read_text().splitlines()]

    @property
    def told_bytes(self) -> int:
        return self.acknowledged.stat().st_size

    def _start(self) -> None:
        self._lives += 1
        self.life = self._parent.start(
            self._shell, "write", str(self.acknowledged), said=f"write-{self._lives}.txt"
        )  # fmt: skip


class Sessions:
    """The sessions of one test on PostgreSQL, which end all at once when the database goes away."""

    def __init__(self, name: str) -> None:
        self._name = name

    def kill(self, again_s: float) -> int:
        """End them, and once more those that came meanwhile; return how many."""
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(POSTGRES, autocommit=True) as keeper:
            rows = [keeper.execute(query, [self._name]).fetchone()]
            time.sleep(again_s)
            rows.append(keeper.execute(query, [self._name]).fetchone())
        return sum(row[0] for row in rows if row)


class Bucket:
    """A server that speaks S3 and can be away; what it holds stays."""

    def __init__(self) -> None:
        self._port = 0
        self._start()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def kill(self, away_s: float) -> None:
        self.close()
        time.sleep(away_s)
        self._start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _start(self) -> None:
        app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", self._port, app, threaded=True, request_handler=_Quiet
        )  # fmt: skip
        self._port = self._server.port
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Say nothing of each request."""


class Site:
    """All of it: two hosts over one database and one bucket, and whoever works there."""

    def __init__(
        self, parent: Parent, shells: tuple[Shell, Shell], sessions: Sessions, bucket: Bucket, chance: random.Random
    ) -> None:
        self.hosts = tuple(Host(parent, shell) for shell in shells)
        self.applying = Applying(parent, shells)
        self.writing = Writing(parent, shells[1])
        self._sessions = sessions
        self._bucket = bucket
        self._chance = chance
        self._shells = shells

    def tend(self) -> None:
        for one in (*self.hosts, self.applying, self.writing):
            one.tend()

    def wait_until(self, true: Callable[[], T], what: str) -> T:
        """Wait until something holds, and let everybody go on meanwhile."""

        def tended() -> T:
            time.sleep(LOOKS_EVERY_S)
            self.tend()
            return true()

        return wait_until(tended, what)

    def kill(self, role: str) -> None:
        """Kill one who has this role, at some moment of what it does."""
        getattr(self, f"_kill_{role}")()

    def _kill_server(self) -> None:
        host = self._chance.choice(self.hosts)
        if self._chance.random() < 0.75:
            self.wait_until(lambda: host.serves, "the server is ready")
            enough = len(host.answered) + self._chance.randint(1, 60)
            self.wait_until(lambda: len(host.answered) >= enough, "it has answered")
        else:
            self._later(1.0)
        host.kill()

    def _kill_worker(self) -> None:
        found = self.wait_until(self._workers, "there are workers")
        self._later(0.5)
        kill(self._chance.choice(found))

    def _kill_apply(self) -> None:
        """Once it has said some more, unless it is over by then: then the next."""
        while True:
            life = self.wait_until(lambda: self.applying.life, "something is applied")
            lines = self._chance.randint(0, 16)
            self.wait_until(
                lambda life=life, lines=lines: life.is_over or life.text.count("\n") >= lines, "it has said so much"
            )  # fmt: skip
            self._later(0.2)
            if not life.is_over and life.kill():
                return

    def _kill_writer(self) -> None:
        enough = self.writing.told_bytes + self._chance.randint(1, 1000)
        self.wait_until(lambda: self.writing.told_bytes >= enough, "the client has written")
        self._later(0.05)
        self.writing.kill()

    def _kill_sessions(self) -> None:
        self._later(0.3)
        self._sessions.kill(self._chance.choice((0.0, 0.05, 0.3)))

    def _kill_bucket(self) -> None:
        self._later(0.3)
        self._bucket.kill(self._chance.uniform(0.0, 0.5))

    def _later(self, most_s: float) -> None:
        time.sleep(self._chance.uniform(0.0, most_s))

    def _workers(self) -> list[int]:
        return sorted(
            pid for shell in self._shells for pid, command in shell.processes().items()
            if "pipelines/supervisor.py" in command
        )  # fmt: skip


def join(here: Shell, there: Shell, parent: Parent) -> None:
    """Do what the guide asks of a second host: the project's file, the keys, an online store of its own."""
    there.folder.mkdir()
    shutil.copy(here.folder / FILE, there.folder)
    there.home.mkdir()
    shutil.copytree(here.home / "keys", there.home / "keys")
    parent.run(there, "run", "parcel", "--because", "a second host serves")
