"""A machine of a test's own, as far as folders, users, processes and the network go.

What is typed in it runs as root in namespaces in which ``/etc`` is a copy and ``/opt``, ``/root``, ``/srv``, ``/tmp``,
``/run``, ``/var/lib`` and ``/var/log`` are folders of the test's; its network is a loopback of its own. So a page of
the guide can be typed as it stands, and nothing outside is changed.
"""

import ctypes
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest
from tests.docs.operating.tools import tool
from tests.docs.operating.unit import Unit, started
from tests.docs.pages import blocks
from tests.waiting import PATIENCE_S

CLONE_NEWNET = 0x40000000
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = {"etc": "/etc", "opt": "/opt", "srv": "/srv", "lib": "/var/lib", "log": "/var/log", "root": "/root"}
"""In this order, since the test's own folder may lie in the last one."""
CACHE = Path.home() / ".cache" / "pip"
"""What was downloaded before is there in here too."""
_MOUNTS = """
set -e
if [ -d {cache} ]; then mkdir -p {root}/.cache/pip; mount --bind {cache} {root}/.cache/pip; fi
for pair in {pairs}; do mount --rbind "${{pair%%=*}}" "${{pair#*=}}"; done
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip link set lo up
echo ready
exec sleep infinity
"""


def needs_root() -> None:
    """Skip, or fail under ``CI=true``, where a test may not make namespaces."""
    for name, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        tool(name, package)
    if sys.platform != "linux" or os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("a machine of a test's own is made by root, on Linux")
        pytest.skip("a machine of a test's own is made by root, on Linux")


class Machine:
    """Use it with ``with``; at its end everything that runs in it is killed. ``opt`` becomes its ``/opt``."""

    def __init__(self, folder: Path, *, opt: Path | None = None) -> None:
        needs_root()
        self.folders = {name: folder / name for name in FOLDERS} | ({"opt": opt} if opt else {})
        for made in self.folders.values():
            made.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", "/etc/.", self.folders["etc"]], check=True)
        self._script = _MOUNTS.format(
            cache=shlex.quote(str(CACHE)),
            root=shlex.quote(str(self.folders["root"])),
            pairs=" ".join(shlex.quote(f"{path}={FOLDERS[name]}") for name, path in self.folders.items()),
        )
        self._inside = 0
        self.cwd = "/srv"
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        # However this process ends, nothing is left behind.
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        self._keeper = subprocess.Popen(
            [*words, "--mount-proc", "sh", "-c", self._script], stdout=subprocess.PIPE, text=True
        )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as said:
            assert said.readline() == "ready\n"
        (child,) = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children").read_text().split()
        self._inside = int(child)
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.kill()  # and with it, by --kill-child, the first process in there, and so all others
        self._keeper.wait()

    def words(self, command: str, *, online: bool = False, environment: Mapping[str, str] | None = None) -> list[str]:
        """The words that run a command in here, in the folder where the last ``cd`` led."""
        given = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "NO_COLOR": "1"}
        given |= self.environment | dict(environment or {})
        if online:  # what pip has to know of the place that it takes packages from
            given |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "https_"))}
        enter = ["nsenter", f"--target={self._inside}", "--mount", "--pid", *([] if online else ["--net"])]
        inside = f"cd {shlex.quote(self.cwd)} && {command}"
        return [*enter, "env", "-i", *(f"{name}={value}" for name, value in given.items()), "sh", "-c", inside]

    def run(
        self,
        command: str,
        *,
        code: int = 0,
        online: bool = False,
        environment: Mapping[str, str] | None = None,
        seconds: float = PATIENCE_S,
    ) -> str:
        """Type a command as root, hold it to its exit code, and return what it printed on standard output."""
        done = subprocess.run(
            self.words(command, online=online, environment=environment),
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"$ {command} -> {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def start(self, command: str, *, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a command and do not wait. It ends with the machine at the latest."""
        return subprocess.Popen(self.words(command, environment=environment), stdin=subprocess.DEVNULL)

    def enter_network(self) -> None:
        """Let this thread, and those that it starts, see the network in here instead of the one outside."""
        with Path(f"/proc/{self._inside}/ns/net").open() as network:
            entered = ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET)
        assert entered == 0, os.strerror(ctypes.get_errno())

    def type(self, command: str) -> str:
        """Type a line of a page: ``cd`` and ``export`` are kept, and there is no systemd to ask."""
        words = shlex.split(command)
        if words[0] == "export":
            names = re.findall(r"\b(\w+)=", command)
            said = self.run(f"{command}; printenv {' '.join(names)}").splitlines()
            self.environment |= dict(zip(names, said, strict=True))
            return ""
        if words[0] == "cd":
            self.run(f"cd {words[1]}")
            self.cwd = words[1]
            return ""
        match words:
            case ["systemctl", "enable", "--now", name]:
                self.run(f"systemctl enable {name}")  # makes the links, which needs no running systemd
                self.unit = started(self, Unit(self.run(f"cat /etc/systemd/system/{name}.service")))
            case ["systemctl", "restart", "trimtab"]:
                assert self.unit.stop() == 0
                self.unit = started(self, self.unit.unit)
            case ["systemctl", "reload", "nginx"]:
                self.run("nginx -s reload || nginx")
            case ["systemctl", *_]:
                pytest.fail(f"no test knows what {command!r} does")
            case _:
                return self.run(command)
        return ""


def commands(page: Path) -> Iterator[str]:
    """The lines of a page that are to be typed, in their order."""
    for _, block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield line.removeprefix("$ ")


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, each with its words."""
    lines: Sequence[str] = dockerfile.read_text("utf-8").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if re.match(r"[A-Z]+ ", line)]
