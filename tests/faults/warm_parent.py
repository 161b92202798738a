"""Starts ``trimtab`` commands that the tests kill: a parent with everything imported forks one for each order.

An order is a line of JSON. With ``words`` it begins a command in a ``folder`` and ``environment``, with what it prints
in the file ``said``, and is answered with its pid; the word ``write`` stands for the client of ``killed_client``. With
``pid`` it asks how that one ended, and is answered with its exit code (negative: the signal) or null. Forking saves the
seconds that imports take, so that many kills fit into a test; whatever was started here ends with the parent.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import obstore.store  # noqa: F401 - once, before the processes are forked
import onnxruntime  # noqa: F401
import pandas as pd  # noqa: F401
import psycopg  # noqa: F401
import sklearn.linear_model  # noqa: F401
from tests.faults.killed_client import write

import trimtab.cli.verbs.apply
import trimtab.cli.verbs.up  # noqa: F401
from trimtab.cli.main import run

_SET_DEATH_SIGNAL = 1  # of prctl


def born(order: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for fd, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, said), (2, said)):
            os.dup2(file, fd)
        words = order["words"]
        code = write(Path(words[1])) if words[0] == "write" else run(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        answer = ended(order["pid"]) if "pid" in order else born(order)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
