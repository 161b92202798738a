"""Begin a replay, or go on with it, in a process that is killed at some moment, and again.

    killed_replays.py KILLS SEED WORD...

The processes are forked from this one, so that a kill costs no start of Python and always meets the replay itself.
When it comes is counted in statements, not in seconds: each start gets about as far on a slow machine. A replay that
was over before its kill gives way to the same one from its beginning. Prints how many were.
"""

import os
import random
import signal
import sys
import threading
from typing import Any

import onnxruntime  # noqa: F401 - once, before the processes are forked
import skl2onnx  # noqa: F401
import sklearn.linear_model  # noqa: F401
from sqlalchemy import Engine, event

from trimtab.cli.main import run

MOST = 900
"""Statements after which a start is killed at most: some days of the replay, trainings among them."""
LATER_S = (0.0, 0.02, 1.0)
"""How much later at most: at once, a moment, or while a worker starts and trains."""


def die_after(statements: int, later_s: float) -> None:
    left = statements

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0 and later_s:
            threading.Timer(later_s, die).start()
        elif left == 0:
            die()

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_killed(words: list[str], statements: int, later_s: float) -> bool:
    """Run the command in a process of its own; say whether it was killed, and not over before."""
    child = os.fork()
    if not child:
        code = 1
        try:
            die_after(statements, later_s)
            code = run(words)
        finally:
            sys.stderr.flush()
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0


def main() -> None:
    kills, moments, words = int(sys.argv[1]), random.Random(int(sys.argv[2])), sys.argv[3:]
    killed = over = 0
    anew = False
    while killed < kills:
        later_s = moments.uniform(0.0, moments.choice(LATER_S))
        anew = not is_killed([*words, "--again"] if anew else words, moments.randint(1, MOST), later_s)
        killed += not anew
        over += anew
    sys.stderr.write(f"{over} were over\n")


if __name__ == "__main__":
    main()
