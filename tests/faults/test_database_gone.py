"""The database goes away under ``trimtab up``: decisions go on, changes are refused, and it comes back by itself."""

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from tests.conftest import POSTGRES
from tests.journeys.asking import body_of
from tests.journeys.project import write
from tests.journeys.shell import Server, Shell, ask, get
from tests.journeys.traffic import Traffic
from tests.waiting import wait_until

BODIES = [body_of({"parcel_id": f"p{number}"}) for number in range(2960, 3000)]
BLIPS = 12
"""How often at least the sessions are ended."""
ROUNDS = 4
"""How often at least a database that is gone is asked."""
Told = list[tuple[int, str]]


class Own:
    """A database of its own on the PostgreSQL server, which can be closed to everybody."""

    def __init__(self, keeper: psycopg.Connection) -> None:
        self.name = f"trimtab_gone_{secrets.token_hex(6)}"
        self.url = make_url(POSTGRES).set(database=self.name).render_as_string(hide_password=False)
        self._keeper = keeper

    def close(self) -> None:
        self._allow(connections=False)
        self.end_sessions()

    def open(self) -> None:
        self._allow(connections=True)

    def end_sessions(self) -> None:
        self._keeper.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.name])

    def _allow(self, *, connections: bool) -> None:
        allowed = sql.SQL("true" if connections else "false")
        self._keeper.execute(
            sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(sql.Identifier(self.name), allowed)
        )


@pytest.fixture
def own(postgres_schema: str) -> Iterator[Own]:
    with psycopg.connect(POSTGRES, autocommit=True) as keeper:
        database = Own(keeper)
        keeper.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database.name)))
        try:
            yield database
        finally:
            keeper.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))


def test_a_postgresql_that_goes_away(own: Own, tmp_path: Path, tidy: Callable[[Shell], Shell]) -> None:
    shell = tidy(Shell(tmp_path / "project", database=own.url))
    write(shell.folder, models=1)
    shell.run("apply", "--yes", "--because", "the parcels of early 2013")
    shell.run("approve", "slow@1", "--because", "first model")
    with shell.up() as server:
        server.wait_until_ready()
        told = changes_while_sessions_end(server, own)
        told += gone_for_a_while(server, go=own.close, come=own.open, says="database")
    check(shell, told)


def test_a_sqlite_file_that_goes_away(approved: Shell) -> None:
    """Whoever moves a file that is open leaves its reader with it: what is written then is in no database."""
    aside = approved.folder / "aside"
    aside.mkdir()
    files = [approved.home / f"trimtab.db{suffix}" for suffix in ("", "-wal", "-shm")]

    def go() -> None:
        for file in files:
            file.rename(aside / file.name)

    def come() -> None:
        assert not any(file.exists() for file in files), "another database was begun in its place"
        for file in files:
            (aside / file.name).rename(file)

    with approved.up() as server:
        server.wait_until_ready()
        told = gone_for_a_while(server, go=go, come=come, says="is not where it was")
    check(approved, told)


def gone_for_a_while(server: Server, *, go: Callable[[], None], come: Callable[[], None], says: str) -> Told:
    """Take the database away under load and bring it back; return what was told of each change."""
    told = [token(server, "before")]
    with Traffic(server.url, "slow", BODIES, clients=2, pause_s=0.002) as traffic:
        traffic.wait_for(30)
        go()
        noted = server.log.count("trying again")

        def refuses_and_has_looked() -> bool:
            told.append(token(server, f"gone{len(told)}"))
            status, answer = get(server.url + "/api/v1/models")
            assert (status, says in f"{answer['what']} {answer['where']}") == (503, True), answer
            assert get(server.url + "/healthz")[0] == 200
            return len(told) > ROUNDS and server.log.count("trying again") > noted

        wait_until(refuses_and_has_looked, "the gateway has looked at the routes in vain", alive=server.process)
        asked = len(traffic.answered)
        traffic.wait_for(50)
        assert len(traffic.answered) > asked, "decisions need the database"
        come()
        wait_until(lambda: get(server.url + "/api/v1/models")[0] == 200, "it reads again", alive=server.process)
        wait_until(lambda: get(server.url + "/readyz")[0] == 200, "it is ready", alive=server.process)
        told.append(token(server, "after"))
        traffic.wait_for(30)
    assert (traffic.refused, traffic.broken) == ([], [])
    assert [status for status, _ in told] == [201, *[503] * (len(told) - 2), 201], told
    check_log_of(server, traffic)
    return told


def changes_while_sessions_end(server: Server, own: Own) -> Told:
    """Change state from several threads while every session is ended again and again."""
    told: Told = []
    over = threading.Event()

    def change(number: int) -> None:
        count = 0
        while not over.is_set():
            count += 1
            told.append(token(server, f"blip{number}-{count}"))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    blips = 0

    def met() -> bool:
        """End the sessions once more, amid changes; say whether changes were met often enough, one in its middle."""
        nonlocal blips
        enough = len(told) + 2 * len(threads)
        wait_until(lambda: len(told) >= enough, "changes are asked for", alive=server.process)
        own.end_sessions()
        blips += 1
        return blips >= BLIPS and {status for status, _ in told} >= {201, 503}

    wait_until(met, "some changes were taken and some refused", alive=server.process)
    over.set()
    for thread in threads:
        thread.join()
    statuses = {status for status, _ in told}
    assert statuses == {201, 503}, statuses
    names = (f"settled{count}" for count in itertools.count())  # one that was refused may be there all the same
    wait_until(lambda: token(server, next(names))[0] == 201, "changes are taken again", alive=server.process)
    return told


def token(server: Server, name: str) -> tuple[int, str]:
    """Issue a token over HTTP; return the status and the name. A refusal has its four parts."""
    status, answer = ask(server.url + "/api/v1/tokens", {"name": name, "may": ["read"]})
    if status != 201:
        assert all(answer[part] for part in ("code", "what", "where", "why", "next")), answer
    return status, name


def check_log_of(server: Server, traffic: Traffic) -> None:
    """Each decision that was given, while there was no database too, can be looked up from the server."""
    for one in traffic.answered[:: max(1, len(traffic.answered) // 10)]:
        status, found = get(f"{server.url}/api/v1/decisions/{one.id}")
        assert (status, found["result"]["probability"]) == (200, one.probability)


def check(shell: Shell, told: Told) -> None:
    """What was acknowledged is there, once, and the ledger is whole."""
    names = [event["data"]["name"] for event in shell.events("server.token-issued")]
    assert len(names) == len(set(names))
    acknowledged = {name for status, name in told if status == 201}
    assert acknowledged <= set(names)
    assert not {name for status, name in told if status == 503 and name.startswith("gone")} & set(names)
    listed = {one["name"] for one in shell.json("get", "tokens", "-n", "1000")}
    assert listed == set(names)
    assert shell.json("verify")["kind"] == "intact"
