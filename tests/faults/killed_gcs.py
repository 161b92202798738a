"""Start a gc of a store, kill it at some moment, and again; before each, look whether a row names bytes that are gone.

    killed_gcs.py SETTINGS ROUNDS SEED

The processes are forked from this one, so that a round costs no start of Python. Prints ``named N lost M`` for each.
"""

import os
import random
import signal
import sys
import time

import msgspec
import psycopg  # noqa: F401 - once, before the processes are forked

from trimtab.kernel import Actor, Settings
from trimtab.server import collect_garbage
from trimtab.store import Store, open_store
from trimtab.store.sweep import named_in


def lost(store: Store) -> tuple[int, int]:
    """Return how many digests rows name, and how many of those that were ever kept here are not there."""
    with store.read() as connection:
        named = named_in(connection)
    # A row may name what was never a blob, as a digest of code: those that are kept were listed at the beginning.
    kept = {bytes.fromhex(line) for line in (store.settings.home_path / "kept").read_text().split()}
    return len(named & kept), sum(not store.blobs.has(f"sha256:{digest.hex()}") for digest in named & kept)


def be_killed(settings: Settings, pipe: int) -> None:
    store = open_store(settings)
    os.write(pipe, "named {} lost {}\n".format(*lost(store)).encode())
    collect_garbage(store, actor=Actor("ann"), because="until killed")
    os.write(pipe, b"done\n")


def kill_one(settings: Settings, *, after_s: float) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        be_killed(settings, writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        sys.stdout.write(lines.readline())  # from here on it removes
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.stdout.writelines(lines)


def main() -> None:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    moments = random.Random(int(sys.argv[3]))
    for _ in range(int(sys.argv[2])):
        kill_one(settings, after_s=moments.uniform(0, 0.2))


if __name__ == "__main__":
    main()
