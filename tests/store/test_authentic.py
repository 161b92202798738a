"""Who can write the database, and has no key: no event of theirs counts, and no history of theirs is written on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, text
from tests.forging import by_sql, elsewhere, put_event
from tests.store.softhsm import BANK, SETTINGS

from trimtab.kernel import SYSTEM, Actor, Invalid, Settings, VirtualClock
from trimtab.store import (
    AlreadyDone,
    EventForged,
    HistoryDiffers,
    RowForged,
    SigningKey,
    Store,
    StoreAway,
    VerificationKind,
    accept_history,
    active_holds,
    check_shown,
    end_hold,
    events,
    ledger_root,
    list_holds,
    make_hold,
    open_store,
    replace_key,
    verify,
)
from trimtab.store.holds import store_holds
from trimtab.store.tables import ledger_events, ledger_head

TABLES = ("ledger_events", "ledger_subjects", "ledger_tiles", "ledger_checkpoints", "ledger_head")


@pytest.fixture
def again(store: Store, clock: VirtualClock) -> Iterator[Callable[..., Store]]:
    """Opens the store's home once more, as the next process does."""
    opened: list[Store] = []

    def run() -> Store:
        opened.append(open_store(store.settings, clock=clock))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


@pytest.fixture
def postgres_store(postgres_url: str, tmp_path: Path, clock: VirtualClock) -> Iterator[Store]:
    store = open_store(Settings(home=str(tmp_path / "home"), database=postgres_url), clock=clock)
    yield store
    store.close()


def kept(connection: Connection) -> dict[str, list[dict[str, object]]]:
    return {name: list(map(dict, connection.execute(text(f"SELECT * FROM {name}")).mappings())) for name in TABLES}


def hold(store: Store, actor: Actor, subject: str) -> None:
    with store.change(actor, "case 12") as change:
        make_hold(change, subject)


def bring_back(store: Store, rows: dict[str, list[dict[str, object]]]) -> None:
    """Restore the ledger's tables as they once were."""
    with elsewhere(store) as connection:
        for name, old in rows.items():
            table = ledger_events.metadata.tables[name]
            connection.execute(text(f"DELETE FROM {name}"))
            if old:
                connection.execute(table.insert(), old)


BODY = (
    '{"actor":{"id":"mallory","kind":"person"},"after":null,"at":"2013-03-01T00:00:00Z","because":"x","before":null,'
    '"data":{"n":1,"thing":"x"},"id":"%026d","idempotency_key":null,"subjects":[],"type":"test.thing-made","version":1}'
)


@pytest.mark.parametrize("code", [None, bytes(32)])
def test_an_event_written_by_sql_is_never_signed(
    store: Store, fill: Callable, again: Callable, thing_made: type, code: bytes | None
) -> None:
    fill(store, 3)
    put_event(store, thing_made(thing="x", n=1), code=code)
    for writer in (store, again()):
        with pytest.raises(EventForged):
            writer.checkpoint()
        with pytest.raises(EventForged if store.database.is_sqlite else StoreAway, match="event 3 was not recorded"):
            fill(writer, 1)
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 3)


@pytest.mark.parametrize("moved", ["with the head", "past the head"])
def test_a_change_after_a_forged_event_counts_only_once_that_is_gone(
    store: Store, again: Callable, actor: Actor, thing_made: type, moved: str
) -> None:
    """On SQLite it is not made. On PostgreSQL it is committed before its position is asked for, and whoever made it
    is told that, so that nobody makes it again."""
    hold(store, actor, "all")
    with store.read() as connection:
        before = kept(connection)
    put_event(store, thing_made(thing="x", n=1))
    if moved == "past the head":
        with elsewhere(store) as connection:
            connection.execute(ledger_head.update().values(before["ledger_head"][0]))
    on_postgres = not store.database.is_sqlite
    with pytest.raises(StoreAway if on_postgres else EventForged) as caught:
        hold(store, actor, "model:late")
    if on_postgres:
        assert caught.value.what == "a change was committed, but its position in the ledger is not known yet"
        said = "event 1 was not recorded" if moved == "with the head" else "the ledger's head is not where its events"
        assert said in caught.value.why
        assert caught.value.next.startswith("do not repeat the change; trimtab verify")

    for one in (store, again()):
        assert [held.subject for held in list_holds(one)] == ["model:late", "all"][not on_postgres :]
        with pytest.raises(EventForged), one.read() as connection:
            active_holds(connection)
        with pytest.raises(EventForged):
            end_hold(one, "all", actor=actor, because="over")
    bring_back(store, before)
    hold(store, actor, "run:1")
    subjects = ["all", *["model:late"][: int(on_postgres)], "run:1"]
    with store.read() as connection:
        assert [held.subject for held in active_holds(connection)] == subjects
    assert [event.data["subject"] for event in events(store)] == subjects
    assert verify(store).kind is VerificationKind.INTACT


def test_what_was_put_into_the_outbox_by_sql_gets_no_position(postgres_store: Store, fill: Callable) -> None:
    store = postgres_store
    fill(store, 1)
    by_sql(store, "INSERT INTO ledger_outbox (bodies) VALUES (:body)", body=BODY % 1)
    by_sql(store, "INSERT INTO ledger_outbox (bodies, code) VALUES (:body, :code)", body=BODY % 2, code=bytes(32))
    assert fill(store, 1).position == 1
    assert [event.actor.id for event in events(store)] == ["tester", "tester"]
    found = verify(store)
    assert found.kind is VerificationKind.INTACT
    assert any("2 entries into the outbox that Trimtab had not recorded" in line for line in found.unproved)


def test_what_was_put_into_the_outbox_again_gets_no_second_position(
    postgres_store: Store, fill: Callable, actor: Actor, thing_made: type
) -> None:
    store = postgres_store
    fill(store, 1)
    with store.change(actor) as change:
        change.record(thing_made(thing="once", n=1))
        store._ledger.enter(change.connection, change.finish(), durable=True)
        row = change.connection.execute(text("SELECT bodies, code FROM ledger_outbox")).one()
        change.connection.execute(text("DELETE FROM ledger_outbox"))
    assert len(events(store)) == 2
    by_sql(store, "INSERT INTO ledger_outbox (bodies, code) VALUES (:bodies, :code)", bodies=row.bodies, code=row.code)
    assert fill(store, 1).position == 2
    assert [event.data["thing"] for event in events(store)] == ["thing-0", "once", "thing-0"]
    assert verify(store).kind is VerificationKind.INTACT


def test_codes_that_were_taken_out_make_no_older_ledger(store: Store, fill: Callable, again: Callable) -> None:
    fill(store, 3)
    again()  # remembers that the events carry codes
    by_sql(store, "UPDATE ledger_events SET code = NULL, rules = NULL, ruled_before = NULL")
    other = again()
    with pytest.raises(EventForged):
        other.checkpoint()
    found = verify(other)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 0)


def test_an_older_history_is_not_written_on_until_somebody_accepts_it(
    store: Store, fill: Callable, again: Callable, actor: Actor
) -> None:
    fill(store, 5)
    with store.read() as connection:
        older = kept(connection)
    fill(store, 4)
    bring_back(store, older)
    other = again()
    assert len(events(other)) == 5, "reading goes on"
    with pytest.raises(HistoryDiffers, match="ends after 5 events, and this home has seen it with 9"):
        other.checkpoint()
    with pytest.raises(Invalid, match="no reason"):
        accept_history(other, actor=actor, because=" ")
    accepted = accept_history(other, actor=actor, because="the disk of Monday is lost")
    assert (accepted.seen_size, accepted.found_size) == (9, 5)
    (event,) = events(other, type="store.history-accepted")
    assert (event.because, event.data["seen_size"]) == ("the disk of Monday is lost", 9)
    assert fill(other, 1).position == 6
    assert verify(other).kind is VerificationKind.INTACT
    with pytest.raises(Invalid, match="nothing to accept"):
        accept_history(other, actor=actor, because="again")


def test_an_older_history_under_an_open_store_is_not_written_on(store: Store, fill: Callable) -> None:
    """Also one that lacks only the last change; and once the newest is there again, everything goes on."""
    fill(store, 5)
    with store.read() as connection:
        older = kept(connection)
    fill(store, 4)
    with store.read() as connection:
        newest = kept(connection)
    bring_back(store, older)
    seen = "ends after 5 events, and this process has seen it with 9"
    with pytest.raises(HistoryDiffers, match=seen):
        store.checkpoint()
    with pytest.raises(HistoryDiffers if store.database.is_sqlite else StoreAway, match=seen):
        fill(store, 1)
    found = verify(store)
    assert (found.kind, found.first_bad) == (VerificationKind.TAMPERED, 5)
    bring_back(store, newest)
    assert fill(store, 1).position == (9 if store.database.is_sqlite else 10)
    assert verify(store).kind is VerificationKind.INTACT


def make_older(store: Store) -> None:
    """Take out what tells events from forged ones, as in a ledger from before they carried it, and the memory of it."""
    by_sql(store, "UPDATE ledger_events SET code = NULL, rules = NULL, ruled_before = NULL")
    shutil.rmtree(store.settings.home_path / "witness")


def test_a_ledger_from_before_codes_is_taken_over_once_with_its_rows_as_they_stand(
    store: Store, fill: Callable, again: Callable
) -> None:
    """Nobody can tell whether a row was forged before: it stands. From then on none can be."""
    fill(store, 3)
    make_older(store)
    row = {"id": "0" * 26, "subject": "all", "because": "x", "by": "mallory", "made_at": "2013-01-01T00:00:00+00:00"}
    with elsewhere(store) as connection:
        connection.execute(store_holds.insert(), row)
    other, next_one = again(), again()
    (event,) = events(next_one, type="store.ledger-adopted")
    assert (event.position, event.actor, event.data["size"], event.data["signed"]) == (3, SYSTEM, 3, 3)
    with other.read() as connection:
        assert [held.by for held in active_holds(connection)] == ["mallory"]
    assert fill(next_one, 1).position == 4
    assert verify(next_one).kind is VerificationKind.INTACT
    by_sql(store, "DELETE FROM store_holds")
    with pytest.raises(RowForged), other.read() as connection:
        active_holds(connection)
    assert verify(other).kind is VerificationKind.TAMPERED


@pytest.mark.parametrize("attack", ["an event", "no codes", "no signature", "another signature"])
def test_a_home_that_has_seen_nothing_takes_no_forged_ledger_for_an_older_one(
    store: Store, fill: Callable, again: Callable, actor: Actor, thing_made: type, attack: str
) -> None:
    """As a second host has it, with a copy of the key: what it takes over would be vouched for."""
    fill(store, 2)
    if attack in ("an event", "no codes"):
        hold(store, actor, "all")
        by_sql(store, "UPDATE store_holds SET subject = 'run:1'")
    if attack == "an event":
        put_event(store, thing_made(thing="x", n=1))
        shutil.rmtree(store.settings.home_path / "witness")
    else:
        make_older(store)
    if attack == "no signature":
        by_sql(store, "DELETE FROM ledger_checkpoints")
    elif attack == "another signature":
        note = SigningKey.make(store.origin).checkpoint(2, ledger_root(store))
        by_sql(store, "UPDATE ledger_checkpoints SET note = :note", note=note)
    other = again()
    assert events(other, type="store.ledger-adopted") == []
    with pytest.raises(EventForged):
        other.checkpoint()
    with pytest.raises(EventForged), other.read() as connection:
        active_holds(connection)
    expected = VerificationKind.NOT_PROVABLE if attack == "no signature" else VerificationKind.TAMPERED
    assert verify(other).kind is expected


def test_what_a_client_was_shown_stops_what_would_be_written_on_an_older_history(
    store: Store, fill: Callable, again: Callable, actor: Actor
) -> None:
    fill(store, 5)
    with store.read() as connection:
        older = kept(connection)
    given, newest = fill(store, 2).checkpoint, fill(store, 2).checkpoint
    for note in (given, newest, SigningKey.make("trimtab.ledger/another").checkpoint(99, bytes(32))):
        check_shown(store, note)
    bring_back(store, older)
    shutil.rmtree(store.settings.home_path / "witness")  # the home was put back too
    serving = again()
    assert fill(serving, 1).position == 5, "nobody has told it yet"
    with pytest.raises(HistoryDiffers, match="ends after 6 events, and you were shown it with 9"):
        check_shown(serving, newest)
    for one in (serving, other := again()):
        with pytest.raises(HistoryDiffers, match="ends after 6 events, and this home has seen it with 9"):
            fill(one, 1)
    assert len(events(other)) == 6, "reading goes on"
    assert verify(other).kind is VerificationKind.TAMPERED
    accepted = accept_history(other, actor=actor, because="the disk of Monday is lost")
    assert (accepted.seen_size, accepted.found_size) == (9, 6)
    assert fill(serving, 1).position == 7, "a server that runs learns it from the ledger"
    check_shown(serving, newest)
    with pytest.raises(HistoryDiffers, match="event 6 of the ledger says why"):
        check_shown(serving, given)
    assert fill(again(), 1).position == 8
    assert verify(other).kind is VerificationKind.INTACT


def test_a_client_can_show_another_history_that_is_no_longer(store: Store, fill: Callable, again: Callable) -> None:
    fill(store, 5)
    with store.read() as connection:
        older = kept(connection)
    given = fill(store, 2).checkpoint
    bring_back(store, older)
    shutil.rmtree(store.settings.home_path / "witness")
    other = again()
    fill(other, 4)
    with pytest.raises(HistoryDiffers, match="the first 7 events are not the ones that you were shown"):
        check_shown(other, given)
    with pytest.raises(HistoryDiffers, match="the first 7 events are not the ones that this home has seen"):
        fill(again(), 1)


def test_a_checkpoint_that_nobody_signed_stops_nothing(store: Store, fill: Callable) -> None:
    fill(store, 2)
    with pytest.raises(HistoryDiffers, match="you were shown it with 9"):
        check_shown(store, SigningKey.make(store.origin).checkpoint(9, bytes(32)))
    with pytest.raises(Invalid, match="a checkpoint cannot be read"):
        check_shown(store, "nothing")
    assert fill(store, 1).position == 2


def test_a_key_that_sql_gave_to_another_event_leaves_no_change_undone(
    store: Store, fill: Callable, actor: Actor, thing_made: type
) -> None:
    """Whoever repeats a change is told that it was made; a row alone may not say so."""
    fill(store, 3)
    by_sql(store, "UPDATE ledger_events SET idempotency_key = 'promote' WHERE position = 1")
    with pytest.raises(EventForged, match="another idempotency key"), store.change(actor, key="promote") as change:
        change.record(thing_made(thing="x", n=1))
    body = 'replace(body, \'"idempotency_key":null\', \'"idempotency_key":"promote"\')'
    by_sql(store, f"UPDATE ledger_events SET body = {body} WHERE position = 1")
    with pytest.raises(EventForged, match="not recorded by Trimtab"), store.change(actor, key="promote") as change:
        change.record(thing_made(thing="x", n=1))
    columns = "position, id, at, actor, type, idempotency_key, body, leaf"
    forged = f"""999, '{"F" * 26}', 'now', 'mallory', 'test.thing-made', 'pay', '{{"idempotency_key":"pay"}}', leaf"""
    by_sql(store, f"INSERT INTO ledger_events ({columns}) SELECT {forged} FROM ledger_events WHERE position = 0")
    with pytest.raises(EventForged, match="not recorded by Trimtab"), store.change(actor, key="pay") as change:
        change.record(thing_made(thing="x", n=1))


def test_a_change_is_made_once_also_after_the_key_was_replaced(store: Store, actor: Actor, thing_made: type) -> None:
    with store.change(actor, key="once") as change:
        change.record(thing_made(thing="x", n=1))
    replace_key(store, actor=actor, because="it was copied")
    with store.change(actor, key="later") as change:
        change.record(thing_made(thing="y", n=1))
    for key in ("once", "later"):
        with pytest.raises(AlreadyDone), store.change(actor, key=key) as change:
            change.record(thing_made(thing="x", n=1))


def test_another_history_of_the_same_length_is_refused(store: Store, fill: Callable, again: Callable) -> None:
    fill(store, 5)
    with store.read() as connection:
        older = kept(connection)
    fill(store, 4)
    home = store.settings.home_path
    shutil.copytree(home / "witness", home / "kept")
    bring_back(store, older)
    for file in (home / "witness").glob("trimtab*"):
        file.unlink()
    fill(again(), 7)
    shutil.rmtree(home / "witness")
    (home / "kept").rename(home / "witness")
    other = again()
    with pytest.raises(HistoryDiffers, match="not the ones that this home has seen"):
        other.checkpoint()


def test_a_key_is_replaced_with_the_signature_of_both(
    store: Store, fill: Callable, again: Callable, actor: Actor, tmp_path: Path
) -> None:
    fill(store, 3)
    old = store.checkpoint().key
    replaced = replace_key(store, actor=actor, because="the old one may have leaked")
    assert (replaced.old, replaced.new) == (old, store.checkpoint().key)
    assert replaced.by_old
    assert fill(store, 2).position == 5
    other = again()
    assert fill(other, 1).position == 6
    for trusted in (old, replaced.new):
        found = verify(other, keys=[trusted])
        assert (found.kind, found.what) == (VerificationKind.INTACT, "the ledger is intact: 7 events")
    names = sorted(file.name for file in (store.settings.home_path / "keys").glob("ledger-*.key"))
    assert len(names) == 2, "the old key is kept beside the new one"


def test_a_key_that_is_lost_is_replaced_by_one_that_nobody_vouches_for(
    store: Store, fill: Callable, clock: VirtualClock, actor: Actor
) -> None:
    fill(store, 3)
    old = store.checkpoint().key
    store.close()
    for file in (store.settings.home_path / "keys").glob("ledger-*"):
        file.unlink()
    with closing(open_store(store.settings, clock=clock)) as other:
        replaced = replace_key(other, actor=actor, because="the disk with the key is lost")
        assert replaced.by_old is None
        assert fill(other, 1).position == 4
        assert verify(other).kind is VerificationKind.INTACT
        found = verify(other, keys=[old])
        assert found.kind is VerificationKind.NOT_PROVABLE
        assert any("who signed with the key" in line for line in found.unproved)


def test_only_the_key_that_is_given_is_trusted(store: Store, fill: Callable, again: Callable, actor: Actor) -> None:
    """Key files and memory are gone, and a whole other history was signed by a new key."""
    fill(store, 3)
    true = store.checkpoint().key
    home = store.settings.home_path
    for folder in ("keys", "witness"):
        shutil.rmtree(home / folder)
    empty = "X''" if store.database.is_sqlite else "''"
    by_sql(store, f"UPDATE ledger_head SET size = 0, frontier = {empty}")
    for name in ("ledger_events", "ledger_subjects", "ledger_tiles", "ledger_checkpoints"):
        by_sql(store, f"DELETE FROM {name}")
    rewritten = again()
    replace_key(rewritten, actor=Actor("mallory"), because="rewriting history")
    fill(rewritten, 2)
    assert verify(rewritten).kind is VerificationKind.INTACT, "the home itself cannot know"
    found = verify(rewritten, keys=[true])
    assert found.kind is VerificationKind.NOT_PROVABLE
    assert "3 of them are under no known signature" in found.what


@pytest.mark.parametrize("token", ["", BANK], ids=["file", "token"])
def test_a_killed_replacement_of_the_key_is_finished_or_forgotten(
    store: Store, fill: Callable, clock: VirtualClock, actor: Actor, monkeypatch: pytest.MonkeyPatch, token: str,
    softhsm: None,
) -> None:  # fmt: skip
    fill(store, 2)
    store.close()
    store = open_store(msgspec.structs.replace(store.settings, **SETTINGS), clock=clock)

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> Any:
        raise Killed

    steps = [("prepare", 0), ("settle", 1), (".pub", 1), (".key", 1)]
    for step, written in steps:
        before = len(events(store))
        with monkeypatch.context() as patched:
            if step == "prepare":
                original = store.keys.prepare
                patched.setattr(store.keys, "prepare", lambda key, original=original: (original(key), killed()))
            elif step == "settle":
                patched.setattr(store.keys, "settle", killed)
            else:  # while the files are put into their places
                replace = Path.replace

                def until(file: Path, to: Path, *, _do: Callable = replace, _step: str = step) -> Path:
                    return killed() if to.suffix == _step else _do(file, to)

                patched.setattr(Path, "replace", until)
            with pytest.raises(Killed):
                replace_key(store, actor=actor, because="moving on", token=token)
        store.database.dispose()
        with closing(open_store(store.settings, clock=clock)) as other:
            assert len(events(other)) == before + written
            assert fill(other, 1).position == before + written
            assert verify(other).kind is VerificationKind.INTACT
        store = open_store(msgspec.structs.replace(store.settings), clock=clock)
    files = sorted((store.settings.home_path / "keys").glob("ledger-*.key"))
    assert len(files) == 1 + sum(written for _, written in steps), "each key of before stays under its id"
    store.close()
