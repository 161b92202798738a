"""Readers cannot write, writers take turns, and a database that is away says so."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from tests.conftest import POSTGRES
from tests.lines import Line
from tests.waiting import PATIENCE_S, WatchedLock, wait_until

from trimtab.kernel import Actor, Invalid, Settings, Unavailable
from trimtab.store import Database, DatabaseDamaged, Store, StoreAway, events, open_store
from trimtab.store.database import driver_of, take_your_time
from trimtab.store.disk import Disk


def test_a_reader_cannot_write(store: Store, things: Table) -> None:
    for statement in (insert(things).values(id="a"), text("CREATE TABLE other (id INTEGER)"), things.delete()):
        with pytest.raises(DBAPIError), store.read() as connection:
            connection.execute(statement)
    with store.read() as connection:
        assert connection.execute(select(things)).all() == []


def test_a_reader_sees_one_state(store: Store, actor: Actor, things: Table, make: Callable) -> None:
    with store.read() as connection:
        assert connection.execute(select(things)).all() == []
        with store.change(actor) as change:
            make(change, "a")
        assert connection.execute(select(things)).all() == []
    with store.read() as connection:
        assert len(connection.execute(select(things)).all()) == 1


def test_a_mistake_in_sql_stays_a_programmers_mistake(store: Store) -> None:
    with pytest.raises((ProgrammingError, DBAPIError)) as caught, store.read() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
    assert not isinstance(caught.value, Unavailable)


@pytest.mark.parametrize("url", ["mysql://localhost/x", "sqlite://", "no url", "postgresql+nothing:"])
def test_an_unknown_url_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        Database(url)
    assert caught.value.where == "setting database"


def test_an_unreachable_server_is_unavailable(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), database="postgresql://nobody@127.0.0.1:9/nothing")
    with pytest.raises(Unavailable) as caught:
        open_store(settings)
    assert "nobody" not in str(caught.value)


def test_a_locked_file_is_unavailable(sqlite_store: Store, actor: Actor, fill: Callable) -> None:
    path = sqlite_store.settings.home_path / "trimtab.db"
    fill(sqlite_store, 1)
    impatient = Database(f"sqlite:///{path}", wait_s=0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught, impatient.write():
            pytest.fail("the block must not begin")
        assert "another process is writing" in caught.value.why
        assert len(events(sqlite_store)) == 1
        other.execute("ROLLBACK")
    with impatient.write():
        pass
    impatient.dispose()
    assert fill(sqlite_store, 1).position == 1


def test_a_change_that_takes_too_long_does_not_block_the_others_for_ever(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}", wait_s=0.1)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database.write():
            entered.set()
            assert leave.wait(PATIENCE_S)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert entered.wait(PATIENCE_S)
        with pytest.raises(Unavailable, match="busy"), database.write():
            pytest.fail("the block must not begin")
        leave.set()
        holding.result()
    with database.write():
        pass
    database.dispose()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "trimtab.db").write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(DatabaseDamaged) as caught:
        open_store(Settings(home=str(tmp_path)))
    assert "backup" in caught.value.next


def test_a_home_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "trimtab.db").mkdir()
    with pytest.raises(Unavailable, match="cannot be opened"):
        open_store(Settings(home=str(tmp_path)))


def test_waits_for_the_disk_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(b"x")
    disk, forced = Disk(tmp_path / "log"), []
    disk._lead = lead = WatchedLock()
    going_on, go = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        forced.append(1)
        going_on.set()
        assert go.wait(PATIENCE_S)

    monkeypatch.setattr("os.fdatasync", slow)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(disk.flush)
        assert going_on.wait(PATIENCE_S)
        # These wrote after the first wait had begun, so it does not cover them: one more does, for all.
        others = [pool.submit(disk.flush) for _ in range(8)]
        wait_until(lambda: lead.waiting == 8, "all of them wait")
        go.set()
        for waiting in (first, *others):
            waiting.result()
    assert len(forced) == 2


def test_a_disk_that_fails_is_not_called_durable(
    sqlite_store: Store, fill: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    fill(sqlite_store, 1)
    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", failing)
        with pytest.raises(Unavailable, match="did not confirm"):
            fill(sqlite_store, 1)
    assert fill(sqlite_store, 1).position == 2


# --- a server that does not answer ---------------------------------------------------------------------------------


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line(POSTGRES)
    yield made
    made.close()


def ask_while_silent(door: Callable, line: Line) -> None:
    with door() as connection:
        connection.execute(text("SELECT 1"))
        line.be_silent()
        connection.execute(text("SELECT 1"))


def test_a_silent_server_is_given_up_and_found_again(postgres_url: str, line: Line) -> None:
    database = Database(line.through(postgres_url), statement_s=1.0)
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    for door in (database.read, database.by_hand, database.write):
        with pytest.raises(StoreAway, match=r"nothing for 1\.25 s"):
            ask_while_silent(door, line)
        line.speak()
        with door() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
    database.dispose()


def test_a_statement_without_an_end_is_ended(postgres_url: str) -> None:
    database = Database(postgres_url, statement_s=1.0)
    with pytest.raises(StoreAway, match="57014"), database.read() as connection:
        connection.execute(text("SELECT pg_sleep(600)"))
    with database.write() as connection:
        take_your_time(connection)
        connection.execute(text("SELECT pg_sleep(1.5)"))
    with pytest.raises(StoreAway, match="57014"), database.write() as connection:
        connection.execute(text("SELECT pg_sleep(600)"))
    database.dispose()


def test_a_connection_asks_tcp_whether_the_server_is_there(postgres_url: str) -> None:
    database = Database(postgres_url + "&keepalives_idle=7")
    for door in (database.read, database.write, database.by_hand):
        with door() as connection:
            driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
            given = driver.info.get_parameters()
        found = {name: given[name] for name in ("connect_timeout", "keepalives_idle", "tcp_user_timeout")}
        assert found == {"connect_timeout": "10", "keepalives_idle": "7", "tcp_user_timeout": "30000"}
    database.dispose()


def test_a_new_file_has_small_pages_and_one_that_is_there_keeps_its_own(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "there.db")) as there:
        there.execute("PRAGMA page_size=8192")
        there.execute("PRAGMA journal_mode=WAL")
        there.execute("CREATE TABLE something (n INTEGER)")
    for name, bytes_, pages in (("new.db", 2048, 16384), ("there.db", 8192, 4096)):
        database = Database(f"sqlite:///{tmp_path / name}")
        with database.write() as connection:
            driver = driver_of(connection)
            assert driver.execute("PRAGMA page_size").fetchone() == (bytes_,)
            assert driver.execute("PRAGMA wal_autocheckpoint").fetchone() == (pages,)
        database.dispose()
