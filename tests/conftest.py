"""What tests of every room share: a store on both databases, a clock that stands still, someone who acts.

PostgreSQL is the server at ``TRIMTAB_TEST_POSTGRES``, else one at 127.0.0.1:5432 when it answers. Without any, its
tests skip and say so; under ``CI=true`` that is a failure. Every test session (so every xdist worker) has its own
schema, emptied before each test.
"""

import gc
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from sqlalchemy import text
from tests.waiting import PATIENCE_S

from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.store import Database, Store, open_store

if TYPE_CHECKING:
    from tests.seeded import Seeded

POSTGRES = os.environ.get("TRIMTAB_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")
SCHEMA_PREFIX = "trimtab_test_"

# How long an example takes says more about what else the machine does than about the code.
hypothesis_settings.register_profile("calm", parent=hypothesis_settings.default, deadline=None)
hypothesis_settings.load_profile("calm")

# What thousands of tests leave in memory is looked through seldom: it took a seventh of their time.
gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def clock() -> VirtualClock:
    """Stands at 2013-03-01T00:00:00Z until a test moves it."""
    return VirtualClock(datetime(2013, 3, 1, tzinfo=UTC))


@pytest.fixture(autouse=True)
def _forgotten(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let clients remember nothing of the servers of other tests, and leave nothing in the user's own folder."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.getbasetemp() / "state" / secrets.token_hex(8))


@pytest.fixture
def actor() -> Actor:
    return Actor("tester")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The setting ``database`` of an empty database, once for each kind."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def store(database_url: str, home: Path, clock: VirtualClock) -> Iterator[Store]:
    """An empty store, once on SQLite and once on PostgreSQL, with its own home."""
    yield from _opened(Settings(home=str(home), database=database_url), clock)


@pytest.fixture
def sqlite_store(home: Path, clock: VirtualClock) -> Iterator[Store]:
    """An empty store on SQLite, for tests that no database can change."""
    yield from _opened(Settings(home=str(home)), clock)


@pytest.fixture
def home(tmp_path: Path, migrated: Path) -> Path:
    """A home whose SQLite database has every table and no row: copying it is far cheaper than migrating."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(migrated, folder / "trimtab.db")
    return folder


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    open_store(Settings(home=str(folder))).close()
    with closing(sqlite3.connect(folder / "trimtab.db", isolation_level=None)) as driver:
        driver.execute("DELETE FROM ledger_head")  # every store names its own ledger
        driver.execute("PRAGMA journal_mode=DELETE")
    return folder / "trimtab.db"


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> "Seeded":
    """A home in which much has happened, made once a session; whoever changes it copies it first."""
    from tests.seeded import seed

    return seed(tmp_path_factory.mktemp("seeded"))


@pytest.fixture(scope="session")
def looped(tmp_path_factory: pytest.TempPathFactory) -> "Seeded":
    """A home in which the loop of a model has turned, made once a session; whoever changes it copies it first."""
    from tests.seeded import seed_loop

    return seed_loop(tmp_path_factory.mktemp("looped"))


@pytest.fixture
def postgres_url(postgres_schema: str) -> str:
    """The URL of this session's schema on PostgreSQL, emptied."""
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        _empty(connection, postgres_schema)
    # The server's disk is not what these tests are about, so commits need not wait for it.
    options = f"-csearch_path%3D{postgres_schema}%20-csynchronous_commit%3Doff"
    mark = "&" if "?" in POSTGRES else "?"
    return f"{POSTGRES}{mark}options={options}&application_name={postgres_schema}"


S3_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server that speaks S3, with the bucket ``models`` and credentials in the environment."""
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    ).create_bucket(Bucket="models")
    yield endpoint
    server.stop()


@pytest.fixture
def emptied() -> Iterator[Callable[[str], None]]:
    """``emptied(url)`` drops every table of a schema on PostgreSQL, now and again after the test."""
    urls: list[str] = []

    def run(url: str) -> None:
        urls.append(url)
        database = Database(url)
        with database.write() as connection:
            schema = connection.execute(text("SELECT current_schema()")).scalar_one()
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        database.dispose()

    yield run
    for url in set(urls):
        run(url)


@pytest.fixture(scope="session")
def postgres_schema() -> Iterator[str]:
    """A schema of this session's own, dropped at its end."""
    try:
        keeper = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=int(PATIENCE_S))
    except psycopg.OperationalError as error:
        message = f"no PostgreSQL at TRIMTAB_TEST_POSTGRES or 127.0.0.1:5432 ({type(error).__name__})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with keeper:
        _drop_abandoned(keeper)
        name = SCHEMA_PREFIX + secrets.token_hex(6)
        keeper.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        keeper.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        yield name
        _end_sessions(keeper, name)
        keeper.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def _opened(settings: Settings, clock: VirtualClock) -> Iterator[Store]:
    opened = open_store(settings, clock=clock)
    try:
        yield opened
    finally:
        opened.close()


def _empty(connection: psycopg.Connection, schema: str) -> None:
    """Delete every row of a schema. Deleting is far cheaper than making some sixty tables for each test."""
    _end_sessions(connection, schema)
    tables = [
        row[0]
        for row in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'alembic_version'", [schema]
        )
    ]
    if tables:
        deletes = [sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table)) for table in tables]
        # Foreign keys are not checked by a session that applies a replica's changes, so any order will do.
        connection.execute(sql.SQL("; ").join([sql.SQL("SET session_replication_role = replica"), *deletes]))


def _end_sessions(connection: psycopg.Connection, schema: str) -> None:
    """End what an earlier test of this session left connected: it would hold locks on the rows."""
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [schema])


def _drop_abandoned(connection: psycopg.Connection) -> None:
    """Drop the schemas of sessions that were killed: nobody holds their lock any more."""
    found = connection.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [SCHEMA_PREFIX])
    for (name,) in found.fetchall():
        row = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name]).fetchone()
        if row is not None and row[0]:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
            connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
