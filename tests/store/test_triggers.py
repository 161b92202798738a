"""What a change writes is what it was told to write, whatever triggers, views and operators stand in the database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert
from tests.forging import by_sql

from trimtab.kernel import Actor, Conflict, Settings, VirtualClock, digest_of_bytes
from trimtab.server import issue_token, revoke_token
from trimtab.server.tokens import PREFIX, recognise
from trimtab.store import RowForged, Store, VerificationKind, foreign_objects, open_store, verify
from trimtab.store.tables import ledger_outbox

MINE = f"{PREFIX}{'m' * 43}"
"""A secret that whoever attacks has made himself."""

Issue = Callable[[], str]


@pytest.fixture
def store(database_url: str, home: Path, clock: VirtualClock, emptied: Callable[[str], None]) -> Iterator[Store]:
    """A store whose schema is its own: what is put into it here must stand in no other test's way."""
    if database_url:
        emptied(database_url)
    opened = open_store(Settings(home=str(home), database=database_url), clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def issue(store: Store, actor: Actor) -> Issue:
    def run() -> str:
        with store.change(actor, "test") as change:
            return issue_token(change, "carol", may=["read"]).secret

    return run


def trigger(store: Store, moment: str, event: str, body: str) -> None:
    """Let something happen at each write of a token."""
    name = f"on_{event.lower()}"
    if store.database.is_sqlite:
        by_sql(store, f"CREATE TRIGGER {name} {moment} {event} ON server_tokens BEGIN {body}; END")
        return
    by_sql(store, f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$")
    by_sql(store, f"CREATE TRIGGER {name} {moment} {event} ON server_tokens FOR EACH ROW EXECUTE FUNCTION {name}()")


def test_a_trigger_does_not_make_another_token_of_the_one_that_is_issued(store: Store, issue: Issue) -> None:
    digest = digest_of_bytes(MINE.encode())
    if store.database.is_sqlite:
        trigger(store, "AFTER", "INSERT", f"UPDATE server_tokens SET digest = '{digest}' WHERE id = NEW.id")
    else:
        trigger(store, "BEFORE", "INSERT", f"""NEW.digest := '{digest}'; NEW.may := '["admin"]'; RETURN NEW""")
    if store.database.is_sqlite:
        issue()  # SQLite returns the row as it was before the trigger came: it is found by whoever acts on it
        with pytest.raises(RowForged):
            recognise(store, MINE, now=store.clock.now())
        assert verify(store).kind is VerificationKind.TAMPERED
        return
    with pytest.raises(RowForged, match="wrote other rows of server_tokens"):
        issue()
    assert recognise(store, MINE, now=store.clock.now()) is None
    assert verify(store).kind is VerificationKind.INTACT


def test_a_trigger_does_not_swallow_a_revocation(store: Store, actor: Actor, issue: Issue) -> None:
    secret = issue()
    trigger(store, "BEFORE", "UPDATE", "SELECT RAISE(IGNORE)" if store.database.is_sqlite else "RETURN NULL")
    with pytest.raises(RowForged, match="wrote other rows"), store.change(actor, "left the team") as change:
        revoke_token(change, "carol")
    assert recognise(store, secret, now=store.clock.now()) is not None, "nobody was told that it is revoked"


def test_a_row_that_was_written_by_sql_is_not_blessed_by_the_next_change(
    store: Store, actor: Actor, issue: Issue
) -> None:
    issue()
    by_sql(store, """UPDATE server_tokens SET may = '["admin"]'""")
    with pytest.raises(RowForged), store.change(actor, "left the team") as change:
        revoke_token(change, "carol")
    assert verify(store).kind is VerificationKind.TAMPERED


def test_what_is_equal_is_not_left_to_the_database(store: Store, issue: Issue) -> None:
    digest, mine = digest_of_bytes(issue().encode()), digest_of_bytes(MINE.encode())
    if store.database.is_sqlite:
        by_sql(store, "ALTER TABLE server_tokens RENAME TO kept")
        columns = "id, name, actor, actor_kind, issued_by, may, created_at, expires_at, revoked_at"
        by_sql(
            store,
            f"CREATE VIEW server_tokens AS SELECT {columns}, "
            f"CASE WHEN random() % 2 THEN '{mine}' ELSE digest END AS digest FROM kept",
        )
    else:
        by_sql(
            store,
            "CREATE FUNCTION same(a varchar, b varchar) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ "
            "SELECT a::text OPERATOR(pg_catalog.=) b::text OR "
            f"(b::text OPERATOR(pg_catalog.=) '{mine}' AND a::text OPERATOR(pg_catalog.=) '{digest}') $$",
        )
        by_sql(store, "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same)")
    for _ in range(40):
        try:
            assert recognise(store, MINE, now=store.clock.now()) is None
        except (RowForged, Conflict):
            continue


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # there is no outbox on SQLite
def test_an_event_that_is_put_into_the_outbox_again_brings_nothing_back(
    store: Store, actor: Actor, issue: Issue
) -> None:
    by_sql(store, "CREATE TABLE stash AS SELECT bodies, code FROM ledger_outbox")
    by_sql(
        store,
        "CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO stash SELECT NEW.bodies, NEW.code; RETURN NULL; END $$",
    )
    by_sql(store, "CREATE TRIGGER copied AFTER INSERT ON ledger_outbox FOR EACH ROW EXECUTE FUNCTION copy()")
    secret = issue()
    by_sql(store, "DROP TRIGGER copied ON ledger_outbox")
    with store.change(actor, "left the team") as change:
        revoke_token(change, "carol")
    by_sql(store, "UPDATE server_tokens SET revoked_at = NULL")
    with store.database.write() as connection:
        for bodies, code in connection.exec_driver_sql("SELECT bodies, code FROM stash").all():
            connection.execute(insert(ledger_outbox).values(bodies=bodies, code=bytes(code)))
    by_sql(
        store,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    )
    by_sql(store, "CREATE TRIGGER kept BEFORE DELETE ON ledger_outbox FOR EACH ROW EXECUTE FUNCTION keep()")
    with pytest.raises(RowForged):
        recognise(store, secret, now=store.clock.now())
    found = verify(store)
    assert found.kind is VerificationKind.TAMPERED


def test_what_acts_in_the_database_is_named(store: Store, actor: Actor, issue: Issue) -> None:
    def foreign() -> tuple[str, ...]:
        with store.read() as connection:
            return foreign_objects(connection)

    issue()
    by_sql(store, "CREATE TABLE reports (n integer)")
    by_sql(store, "CREATE VIEW of_tokens AS SELECT name FROM server_tokens")
    assert foreign() == (), "what others keep beside Trimtab's tables is theirs"
    if store.database.is_sqlite:
        trigger(store, "AFTER", "INSERT", "DELETE FROM reports")
        by_sql(store, "ALTER TABLE serving_routes RENAME TO kept")
        by_sql(store, "CREATE VIEW serving_routes AS SELECT * FROM kept")
        named = ("the trigger on_insert on server_tokens", "the view serving_routes")
    else:
        trigger(store, "AFTER", "INSERT", "RETURN NULL")
        by_sql(store, "CREATE RULE none AS ON DELETE TO server_tokens DO INSTEAD NOTHING")
        by_sql(store, "ALTER TABLE store_holds ENABLE ROW LEVEL SECURITY")
        by_sql(store, "ALTER TABLE serving_routes RENAME TO kept")
        by_sql(store, "CREATE VIEW serving_routes AS SELECT * FROM kept")
        by_sql(store, "CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$")
        by_sql(store, "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same)")
        named = (
            "the trigger on_insert on server_tokens", "the rule none on server_tokens", "the row security store_holds",
            "the view serving_routes", "the operator = on character varying and character varying",
        )  # fmt: skip
    assert foreign() == named
    told = " ".join(verify(store).unproved)
    assert all(f"what {name} does: Trimtab did not make it" in told for name in named)
