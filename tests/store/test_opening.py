"""Opening: quick when there is nothing to do, from nothing, by many at once; and the clock of a project."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from tests.waiting import wait_until

import trimtab
from trimtab.kernel import Settings, StartedClock, SystemClock
from trimtab.store import Database, HistoryMissing, clock_of, metadata, open_store
from trimtab.store.ledger.keys import Keys
from trimtab.store.migrate import FOLDER, bring_up_to_date, revisions, upgrade_to


@pytest.fixture
def fresh(database_url: str, emptied: Callable[[str], None], tmp_path: Path) -> Settings:
    """Settings of a database without a single table."""
    if database_url:
        emptied(database_url)
    return Settings(home=str(tmp_path / "fresh"), database=database_url)


def database_of(settings: Settings) -> Database:
    return Database(settings.database or f"sqlite:///{settings.home_path / 'trimtab.db'}")


def import_every_table() -> None:
    for module in pkgutil.iter_modules(trimtab.__path__):
        if (Path(trimtab.__path__[0]) / module.name / "tables.py").exists():
            importlib.import_module(f"trimtab.{module.name}.tables")


def test_the_migrations_are_one_chain() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert [revision.revision for revision in script.walk_revisions()][::-1] == revisions()
    assert [int(name[:4]) for name in revisions()] == list(range(1, len(revisions()) + 1))


def test_migrating_from_nothing_gives_what_the_rooms_declare(fresh: Settings) -> None:
    import_every_table()
    open_store(fresh).close()
    database = database_of(fresh)
    with database.write() as connection:
        options: dict[str, Any] = {"compare_type": True, "compare_server_default": not database.is_sqlite}

        def is_here(_item: object, name: str | None, *_: object) -> bool:
            # Alembic does not ask in which database something is declared to be.
            return name != "uq_ledger_events_id" or not database.is_sqlite

        options |= {"include_object": is_here}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        # What Alembic does not compare: primary keys, by name and columns.
        found = inspect(connection)
        for table in metadata.sorted_tables:
            key = found.get_pk_constraint(table.name)
            assert key["constrained_columns"] == [column.name for column in table.primary_key], table.name
    database.dispose()


def test_an_up_to_date_database_opens_with_four_queries_and_without_alembic(fresh: Settings) -> None:
    open_store(fresh).close()
    program = (
        "import sys, msgspec\n"
        "from sqlalchemy import Engine, event\n"
        "from trimtab.kernel import Settings\n"
        "from trimtab.store import open_store\n"
        "settings = msgspec.json.decode(sys.argv[1], type=Settings)\n"
        "said = []\n"
        "event.listen(Engine, 'before_cursor_execute', lambda *given: said.append(given[2]))\n"
        "open_store(settings).close()\n"
        "assert 'alembic' not in sys.modules\n"
        "print(len(said))\n"
        "print(*said, sep='\\n', file=sys.stderr)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, msgspec.json.encode(fresh).decode()], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) == 4, found.stderr


def test_many_may_open_a_new_database_at_once(fresh: Settings) -> None:
    program = (
        "import sys, msgspec\n"
        "from trimtab.kernel import Settings\n"
        "from trimtab.store import open_store\n"
        "store = open_store(msgspec.json.decode(sys.argv[1], type=Settings))\n"
        "print(store.origin)\n"
        "store.close()\n"
    )
    command = [sys.executable, "-c", program, msgspec.json.encode(fresh).decode()]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0] * 3
    assert len(answers) == 1


def test_threads_may_open_a_new_database_at_once(fresh: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(fresh), range(4)))
    assert len({store.origin for store in stores}) == 1
    for store in stores:
        store.close()


def test_a_first_schema_that_fails_leaves_no_table(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.home_path.mkdir()
    database = database_of(fresh)

    def broken(connection: Connection, revision: str) -> None:
        upgrade_to(connection, revision)
        raise ZeroDivisionError

    monkeypatch.setattr("trimtab.store.migrate.upgrade_to", broken)
    with pytest.raises(ZeroDivisionError):
        bring_up_to_date(database, name="x", keys=Keys(fresh.home_path / "keys"))
    with database.read() as connection:
        assert inspect(connection).get_table_names() == []
    database.dispose()


def test_closing_without_a_change_signs_nothing(fresh: Settings) -> None:
    open_store(fresh).close()
    store = open_store(fresh)
    assert store.witness.checkpoints(store.origin) == ()
    store.close()


def test_a_home_that_had_a_history_begins_no_new_one(fresh: Settings, fill: Callable, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    first = open_store(Settings(home=str(home)))
    fill(first, 5)
    first.close()
    (home / "trimtab.db").unlink()
    settings = msgspec.structs.replace(fresh, home=str(home))  # of an empty database: the home's own, or another place
    for _ in range(2):
        with pytest.raises(HistoryMissing) as caught:
            open_store(settings)
        assert "5 events" in caught.value.why
        assert first.origin in caught.value.why
    other = open_store(msgspec.structs.replace(fresh, home=str(tmp_path / "other")))
    if fresh.database:
        with pytest.raises(HistoryMissing):
            open_store(settings)  # somebody else has begun one there, and nothing is in it
        fill(other, 1)
        open_store(settings).close()
    other.close()


# --- the clock of a project


EXACT = timedelta(milliseconds=10)
"""How far two clocks that were set alike may differ: each has read the machine's two clocks once."""


def test_a_started_clock_goes_on_in_the_next_process(tmp_path: Path) -> None:
    settings, start = Settings(home=str(tmp_path), clock="2013-03-01"), datetime(2013, 3, 1, tzinfo=UTC)
    began = SystemClock().now()
    first = clock_of(settings)
    assert isinstance(first, StartedClock)
    told = first.now()
    assert start <= told <= start + (SystemClock().now() - began) + EXACT
    wait_until(lambda: first.now() > start + 2 * EXACT, "it has gone on")
    second = clock_of(settings)
    before, between, after = first.now(), second.now(), first.now()
    assert before - EXACT <= between <= after + EXACT


def test_another_start_sets_the_clock_anew(tmp_path: Path) -> None:
    clock_of(Settings(home=str(tmp_path), clock="2013-03-01"))
    later = clock_of(Settings(home=str(tmp_path), clock="2013-06-01"))
    assert later.now() >= datetime(2013, 6, 1, tzinfo=UTC)


def test_processes_agree_on_when_the_clock_was_set(tmp_path: Path) -> None:
    for start in ("2013-03-01", "2013-06-01"):  # the first time, and anew
        settings = Settings(home=str(tmp_path), clock=start)
        with ThreadPoolExecutor(8) as pool:
            clocks = list(pool.map(lambda _, settings=settings: clock_of(settings), range(8)))
        before, told, after = clocks[0].now(), [clock.now() for clock in clocks], clocks[0].now()
        assert all(before - EXACT <= one <= after + EXACT for one in told)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clock.json", "clock.lock"]


def test_the_system_clock_is_the_default(tmp_path: Path) -> None:
    assert isinstance(clock_of(Settings(home=str(tmp_path))), SystemClock)
    assert list(tmp_path.iterdir()) == []


def test_without_settings_the_store_is_that_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "mine"))
    store = open_store()
    assert store.settings.home == str(tmp_path / "mine")
    assert (tmp_path / "mine" / "trimtab.db").is_file()
    store.close()


def test_a_view_of_ones_own_outlives_the_migrations(tmp_path: Path) -> None:
    """Tables are rebuilt on SQLite; what others have made beside them goes on reading them by their names."""
    database = Database(f"sqlite:///{tmp_path / 'trimtab.db'}")
    with database.write() as connection:
        upgrade_to(connection, "0008_retention")
        connection.execute(text("CREATE VIEW mine AS SELECT e.body, s.id FROM ledger_events e, ledger_subjects s"))
        upgrade_to(connection, "head")
    with database.read() as connection:
        assert connection.execute(text("SELECT * FROM mine")).all() == []
    database.dispose()
