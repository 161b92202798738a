"""Start a process that changes a store with several threads, kill it at some moment, and again.

    killed_writers.py SETTINGS ROUNDS SEED

The processes are forked from this one, so that a round costs no start of Python. Prints ``thing position`` for every
change that was acknowledged: each line is read through a pipe from the process that is about to be killed.
"""

import os
import random
import signal
import sys
import threading
import time
from typing import ClassVar

import msgspec
import psycopg  # noqa: F401 - once, before the processes are forked
from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from trimtab.kernel import Actor, Settings
from trimtab.store import Event, Store, Subject, open_store

tables = MetaData()
things = Table("test_things", tables, Column("id", String(40), primary_key=True), Column("n", Integer))


class ThingMade(Event):
    type: ClassVar[str] = "test.thing-made"
    thing: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("thing", self.thing),)


def write(store: Store, pipe: int, name: str) -> None:
    for n in range(100_000):
        with store.change(Actor("tester"), "until killed", durable=bool(n % 3)) as change:
            for part in ("a", "b"):
                thing = f"{name}-{n}-{part}"
                change.execute(insert(things), {"id": thing, "n": n})
                change.record(ThingMade(thing=thing))
        assert change.receipt is not None
        os.write(pipe, f"{name}-{n}-b {change.receipt.position}\n".encode())


def be_killed(settings: Settings, round_: int, pipe: int) -> None:
    store = open_store(settings)
    writers = [threading.Thread(target=write, args=(store, pipe, f"{round_}-{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def kill_one(settings: Settings, round_: int, *, after_s: float) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        be_killed(settings, round_, writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        sys.stdout.write(lines.readline())  # from here on it writes
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.stdout.writelines(line for line in lines if line.endswith("\n"))


def main() -> None:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    moments = random.Random(int(sys.argv[3]))
    for round_ in range(int(sys.argv[2])):
        kill_one(settings, round_, after_s=moments.uniform(0, 0.15))


if __name__ == "__main__":
    main()
