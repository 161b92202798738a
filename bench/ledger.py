"""How fast the ledger is, beside the physical limit: the same insert in its own transaction with no event at all.

    python bench/ledger.py [--changes 5000] [--durable 4000] [--writers 8] [--events 200000] [--postgres URL]

Prints JSON. A change is one row and one event; ``verify`` recomputes every leaf, column, tile and root of a ledger.
PostgreSQL: the server at TRIMTAB_TEST_POSTGRES or 127.0.0.1:5432, in a schema of its own; without one it is left out.
"""

import argparse
import json
import os
import platform
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from sqlalchemy import Column, Integer, MetaData, String, Table

from trimtab.governance import verify_evidence
from trimtab.kernel import Actor, Settings
from trimtab.store import Event, Store, Subject, export_log, open_store, verify

POSTGRES = os.environ.get("TRIMTAB_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")
TABLES = MetaData()
things = Table("bench_things", TABLES, Column("id", String(26), primary_key=True), Column("n", Integer))
ACTOR = Actor("bench")


class ThingMade(Event):
    type: ClassVar[str] = "bench.thing-made"
    thing: str
    n: int

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("thing", self.thing),)


def change(store: Store, count: int, *, durable: bool) -> None:
    for n in range(count):
        with store.change(ACTOR, "bench", durable=durable) as change:
            id_ = change.new_id()
            change.insert(things, {"id": id_, "n": n})
            change.record(ThingMade(thing=id_, n=n))


def rate(count: int, work: Callable[[], object]) -> int:
    started = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - started))


def with_threads(writers: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_process(settings: Settings, count: int, ready: Any, go: Any) -> None:
    store = open_store(settings)
    change(store, 1, durable=True)
    ready.release()
    go.wait()
    change(store, count, durable=True)
    store.close()


def with_processes(settings: Settings, writers: int, count: int) -> int:
    """Return changes/s of several processes, counted from the moment at which all are ready."""
    context = get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    processes = [context.Process(target=in_process, args=(settings, count, ready, go)) for _ in range(writers)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()

    def run() -> None:
        go.set()
        for process in processes:
            process.join()

    return rate(writers * count, run)


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    store = open_store(settings)
    with store.database.write() as connection:
        TABLES.create_all(connection)
    yield store
    store.close()


def sqlite_limit(folder: Path, count: int, *, synchronous: str) -> int:
    driver = sqlite3.connect(folder / f"limit-{synchronous}.db", isolation_level=None)
    driver.execute("PRAGMA journal_mode=WAL")
    driver.execute(f"PRAGMA synchronous={synchronous}")
    driver.execute("CREATE TABLE things (id TEXT PRIMARY KEY, n INTEGER)")

    def run() -> None:
        for n in range(count):
            driver.execute("BEGIN IMMEDIATE")
            driver.execute("INSERT INTO things VALUES (?, ?)", (secrets.token_hex(13), n))
            driver.execute("COMMIT")

    found = rate(count, run)
    driver.close()
    return found


def postgres_limit(url: str, writers: int, count: int) -> int:
    def run() -> None:
        with psycopg.connect(url) as connection:
            for n in range(count):
                connection.execute("INSERT INTO bench_things VALUES (%s, %s)", (secrets.token_hex(13), n))
                connection.commit()

    return rate(writers * count, lambda: with_threads(writers, run))


def measure_sqlite(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    with opened(Settings(home=str(folder / "home"))) as store:
        change(store, 100, durable=False)
        each = max(1, options.durable // options.writers)
        return {
            "normal_changes_per_s": rate(options.changes, lambda: change(store, options.changes, durable=False)),
            "normal_limit_without_event_per_s": sqlite_limit(folder, options.changes, synchronous="NORMAL"),
            "full_changes_per_s": rate(options.durable, lambda: change(store, options.durable, durable=True)),
            "full_changes_per_s_threads": rate(
                each * options.writers, lambda: with_threads(options.writers, lambda: change(store, each, durable=True))
            ),
            "full_limit_without_event_per_s": sqlite_limit(folder, options.durable, synchronous="FULL"),
        }


def measure_verify(folder: Path, events: int) -> dict[str, object]:
    with opened(Settings(home=str(folder / "verify"))) as store:
        for _ in range(0, events, 1000):
            with store.change(ACTOR, "bench", durable=False) as change:
                for n in range(1000):
                    change.record(ThingMade(thing=store.ids.new(), n=n))
        store.checkpoint()
        found: dict[str, object] = {"events": events, "store_events_per_s": rate(events, lambda: verify(store))}
        export_log(store, folder / "ledger.jsonl")
        key = store.checkpoint().key
        found["export_events_per_s"] = rate(events, lambda: verify_evidence(folder / "ledger.jsonl", keys=[key]))
        return found


def measure_postgres(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    schema = f"trimtab_bench_{secrets.token_hex(4)}"
    try:
        admin = psycopg.connect(options.postgres, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        return {"left_out": "no server answers"}
    with admin:
        admin.execute(f"CREATE SCHEMA {schema}")
        url = f"{options.postgres}{'&' if '?' in options.postgres else '?'}options=-csearch_path%3D{schema}"
        settings = Settings(home=str(folder / "postgres"), database=url)
        each = max(1, options.changes // options.writers)
        try:
            with opened(settings) as store:
                with_threads(options.writers, lambda: change(store, 2, durable=True))
                return {
                    "writers": options.writers,
                    "changes_per_s_threads": rate(
                        each * options.writers,
                        lambda: with_threads(options.writers, lambda: change(store, each, durable=True)),
                    ),
                    "changes_per_s_processes": with_processes(settings, options.writers, each),
                    "changes_per_s_one_writer": rate(each, lambda: change(store, each, durable=True)),
                    "limit_without_event_per_s": postgres_limit(url, options.writers, each),
                    "verified": verify(store).kind,
                }
        finally:
            admin.execute(f"DROP SCHEMA {schema} CASCADE")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the ledger.")
    parser.add_argument("--changes", type=int, default=5000)
    parser.add_argument("--durable", type=int, default=4000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--postgres", default=POSTGRES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "setup": {"cpus": os.cpu_count(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
            "sqlite": measure_sqlite(folder, options),
            "postgres": measure_postgres(folder, options),
            "verify": measure_verify(folder, options.events),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
