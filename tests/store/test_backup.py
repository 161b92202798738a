"""A backup is taken while the store is in use, brings only what is new, and says when it is damaged."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Table
from tests.store.kept_homes import KEPT, open_kept, rows_of
from tests.waiting import wait_until

from trimtab.kernel import Actor, NotFound, Settings, Unavailable, lock
from trimtab.store import (
    BackupDamaged,
    Closed,
    HoldsSomething,
    Store,
    VerificationKind,
    back_up,
    backups_in,
    events,
    open_store,
    rehearse,
    restore,
    verify,
)
from trimtab.store.opened import url_of

BECAUSE = "the disk broke"


def silent(step: str, done: int, total: int) -> None:
    del step, done, total


@pytest.fixture
def filled(database_url: str, emptied: Callable[[str], None], tmp_path: Path) -> Iterator[Store]:
    """A store in whose tables something of everything stands, once on SQLite and once on PostgreSQL."""
    if database_url:
        emptied(database_url)
    store = open_kept(KEPT[0], tmp_path, database=database_url)
    (store.settings.home_path / "decisions" / "slow").mkdir(parents=True, exist_ok=True)
    (store.settings.home_path / "decisions" / "slow" / "01.log").write_bytes(b"a decision that is not sealed")
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def sizes_of(store: Store) -> dict[str, int]:
    return {blob.digest: blob.size_bytes for blob in store.blobs.listed()}


def test_a_backup_is_restored_into_an_empty_home(filled: Store, folder: Path, tmp_path: Path, actor: Actor) -> None:
    size = verify(filled).events
    backup = back_up(filled, folder, told=silent, with_keys=True)
    assert (backup.events, backup.origin, backup.damaged) == (size, filled.origin, ())
    assert [found.name for found in backups_in(folder)] == [backup.name]
    rehearsed = rehearse(folder, told=silent)
    assert (rehearsed.kind, rehearsed.events, rehearsed.root.hex()) == (VerificationKind.INTACT, size, backup.root)

    settings = Settings(home=str(tmp_path / "new"))
    found = restore(folder, settings, actor=actor, because=BECAUSE, told=silent)
    assert (found.kind, found.events) == (VerificationKind.INTACT, size + 1)
    restored = open_store(settings)
    (told,) = events(restored, type="store.restored")
    assert (told.because, told.data["backup"], told.data["size"]) == (BECAUSE, backup.name, size)
    assert sizes_of(restored) == sizes_of(filled)
    restored.close()
    before, after = rows_of(url_of(filled.settings)), rows_of(url_of(settings))
    for table in before.keys() - {"ledger_events", "ledger_subjects", "ledger_head", "ledger_checkpoints"}:
        assert after[table] == before[table], table
    left = settings.home_path / "decisions" / "slow" / "01.log"
    assert left.read_bytes() == b"a decision that is not sealed"
    with pytest.raises(HoldsSomething, match="events of the ledger"):
        restore(folder, settings, actor=actor, because=BECAUSE, told=silent)


def test_a_backup_of_either_database_goes_into_either(
    filled: Store, folder: Path, tmp_path: Path, actor: Actor, postgres_url: str, emptied: Callable[[str], None]
) -> None:
    backup = back_up(filled, folder, told=silent)
    filled.database.dispose()
    emptied(postgres_url)
    settings = Settings(home=str(tmp_path / "new"), database=postgres_url)
    found = restore(folder, settings, actor=actor, because=BECAUSE, told=silent)
    assert (found.kind, found.events) == (VerificationKind.INTACT, backup.events), "without the key it can only be read"


def test_a_backup_of_objects_and_postgresql_goes_back_there_and_into_files(
    s3: str, folder: Path, tmp_path: Path, actor: Actor, fill: Callable, postgres_url: str,
    emptied: Callable[[str], None],
) -> None:  # fmt: skip
    def place(name: str, prefix: str) -> Settings:
        blobs = f"s3://models/{tmp_path.name}/{prefix}"
        return Settings(home=str(tmp_path / name), database=postgres_url, blobs=blobs, blobs_endpoint=s3)

    emptied(postgres_url)
    store = open_store(place("home", "before"))
    digests = [store.blobs.put(f"blob {n}".encode() * 1000) for n in range(20)]
    fill(store, 30, each=7)
    backup = back_up(store, folder, told=silent, with_keys=True)
    assert (backup.blobs, backup.damaged) == (20, ())
    digests.append(store.blobs.put(b"the next"))
    fill(store, 1)
    there = {str(path) for path in folder.rglob("*") if path.is_file()}
    backup = back_up(store, folder, told=silent, with_keys=True)
    new = {str(path) for path in folder.rglob("*") if path.is_file()} - there
    assert [digest for digest in digests if any(digest[9:] in path for path in new)] == digests[-1:]
    size, before = verify(store).events, sizes_of(store)
    store.close()
    assert rehearse(folder, told=silent).root.hex() == backup.root

    emptied(postgres_url)
    found = restore(folder, place("again", "after"), actor=actor, because=BECAUSE, told=silent)
    assert (found.kind, found.events) == (VerificationKind.INTACT, size + 1)
    restored = open_store(place("again", "after"))
    assert sizes_of(restored) == before
    assert all(restored.blobs.local_path(digest).is_file() for digest in digests)
    assert fill(restored, 1).position == size + 1
    restored.close()
    with pytest.raises(HoldsSomething):
        restore(folder, place("third", "after"), actor=actor, because=BECAUSE, told=silent)

    files = Settings(home=str(tmp_path / "files"))
    assert restore(folder, files, actor=actor, because=BECAUSE, told=silent).kind is VerificationKind.INTACT
    local = open_store(files)
    assert sizes_of(local) == before
    local.close()


def test_a_next_backup_brings_only_what_is_new(filled: Store, folder: Path) -> None:
    first = back_up(filled, folder, told=silent)
    was = {path: path.stat().st_mtime_ns for path in (folder / "blobs").rglob("*") if path.is_file()}
    digest = filled.blobs.put(b"new")
    second = back_up(filled, folder, told=silent)
    now = {path: path.stat().st_mtime_ns for path in (folder / "blobs").rglob("*") if path.is_file()}
    assert second.blobs == first.blobs + 1
    assert now.items() >= was.items()
    assert [path.parent.name + path.name for path in now.keys() - was.keys()] == [digest.removeprefix("sha256:")]
    assert rehearse(folder, name=first.name, told=silent).events == first.events
    with pytest.raises(NotFound):
        rehearse(folder, name="yesterday", told=silent)


def test_private_keys_are_in_a_backup_only_when_asked_for(
    filled: Store, folder: Path, tmp_path: Path, actor: Actor, fill: Callable
) -> None:
    fill(filled, 1)  # which makes a key
    keys = {path.name for path in (filled.settings.home_path / "keys").iterdir()}
    private = {name for name in keys if not name.endswith(".pub")}
    assert private
    plain = back_up(filled, folder, told=silent)
    assert {Path(path).name for path in plain.files if "/keys/" in path} == keys - private
    whole = back_up(filled, folder, with_keys=True, told=silent)
    assert {Path(path).name for path in whole.files if "/keys/" in path} == keys
    settings = Settings(home=str(tmp_path / "new"))
    found = restore(folder, settings, actor=actor, because=BECAUSE, told=silent)
    assert found.kind == VerificationKind.INTACT
    for name in private:
        for file in (folder / whole.name / "home" / "keys" / name, settings.home_path / "keys" / name):
            assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes() == (filled.settings.home_path / "keys" / name).read_bytes()


@pytest.mark.parametrize("what", ["trimtab.db", "blobs.txt", "home/decisions/slow/01.log", "a blob", "no blob", "list"])
def test_a_damaged_backup_is_neither_good_nor_restored(
    what: str, sqlite_store: Store, folder: Path, tmp_path: Path, actor: Actor, fill: Callable
) -> None:
    digest = sqlite_store.blobs.put(b"the truth").removeprefix("sha256:")
    open_ = sqlite_store.settings.home_path / "decisions" / "slow" / "01.log"
    open_.parent.mkdir(parents=True)
    open_.write_bytes(b"decided")
    fill(sqlite_store, 300)
    backup = back_up(sqlite_store, folder, told=silent)
    blob = folder / "blobs" / digest[:2] / digest[2:]
    match what:
        case "a blob":
            blob.write_bytes(b"the trick")
        case "no blob":
            blob.unlink()
        case "list":
            (folder / backup.name / "backup.json").write_bytes(b"{}")
        case _:
            file = folder / backup.name / what
            file.write_bytes(file.read_bytes()[:-1] + b"?")
    settings = Settings(home=str(tmp_path / "new"))
    for use in (
        lambda: rehearse(folder, told=silent),
        lambda: restore(folder, settings, actor=actor, because=BECAUSE, told=silent),
    ):
        with pytest.raises((BackupDamaged, NotFound)):
            use()
    if settings.home_path.exists() and (settings.home_path / "trimtab.db").exists():
        with pytest.raises(Closed, match="not complete"):
            open_store(settings)


def test_a_damaged_blob_is_told_and_keeps_nobody_from_a_backup(sqlite_store: Store, folder: Path) -> None:
    digest = sqlite_store.blobs.put(b"the truth")
    sqlite_store.blobs.local_path(digest).write_bytes(b"the trick")
    whole = sqlite_store.blobs.put(b"whole")
    backup = back_up(sqlite_store, folder, told=silent)
    assert backup.damaged == (digest,)
    assert (folder / backup.name / "blobs.txt").read_text().split() == [whole]


def test_a_backup_is_of_one_moment_while_others_write(
    store: Store, folder: Path, tmp_path: Path, things: Table, make: Callable[..., None], actor: Actor
) -> None:
    stop: list[bool] = []

    def write() -> None:
        number = 0
        while not stop:
            number += 1
            with store.change(actor, durable=False) as change:
                make(change, f"thing-{number}")

    thread = Thread(target=write)
    thread.start()
    try:
        wait_until(lambda: verify(store).events > 20, "it writes", alive=thread)
        backup = back_up(store, folder, told=silent)
    finally:
        stop.append(True)
        thread.join()
    assert 20 < backup.events < verify(store).events
    assert rehearse(folder, told=silent).events == backup.events
    assert backup.tables["ledger_events"].rows == backup.tables["ledger_subjects"].rows / 2 == backup.events


def test_a_killed_backup_is_none_and_is_taken_away(sqlite_store: Store, folder: Path, fill: Callable) -> None:
    fill(sqlite_store, 3)
    sqlite_store.blobs.put(b"a blob")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from trimtab.kernel import Settings\n"
        "from trimtab.store import back_up, open_store\n"
        "def told(step, done, total):\n"
        "    if step == 'tables' and done == total:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "back_up(open_store(Settings(home=sys.argv[1])), Path(sys.argv[2]), told=told)\n"
    )
    home = str(sqlite_store.settings.home_path)
    killed = subprocess.run([sys.executable, "-c", program, home, folder], check=False)
    assert killed.returncode == -9
    assert backups_in(folder) == []
    with pytest.raises(NotFound):
        rehearse(folder, told=silent)
    backup = back_up(sqlite_store, folder, told=silent)
    assert {path.name for path in folder.iterdir()} == {"blobs", backup.name}


def test_one_backup_at_a_time_goes_into_a_folder(sqlite_store: Store, folder: Path) -> None:
    folder.mkdir()
    held = os.open(folder, os.O_RDONLY)
    assert lock(held)
    with pytest.raises(Unavailable, match="another backup"):
        back_up(sqlite_store, folder, told=silent)
    os.close(held)
    back_up(sqlite_store, folder, told=silent)


def test_a_backup_can_be_looked_at_and_not_written_to(
    sqlite_store: Store, folder: Path, fill: Callable, actor: Actor
) -> None:
    fill(sqlite_store, 3)
    backup = back_up(sqlite_store, folder, told=silent)
    looked = open_store(Settings(home=str(folder / backup.name)))
    assert verify(looked).events == 3
    with pytest.raises(Closed, match="this is a backup"), looked.change(actor):
        raise AssertionError("let in")
    looked.close()


def test_what_is_in_the_home_stays_as_it_is(home: Path, folder: Path, actor: Actor, fill: Callable) -> None:
    settings = Settings(home=str(home))
    store = open_store(settings)
    fill(store, 3)
    back_up(store, folder, with_keys=True, told=silent)
    store.close()
    (home / "decisions" / "slow").mkdir(parents=True, exist_ok=True)
    (home / "decisions" / "slow" / "02.log").write_bytes(b"decided since")
    kept = files_in(home) - {"trimtab.db", "trimtab.db-wal", "trimtab.db-shm"}
    for name in ("trimtab.db", "trimtab.db-wal", "trimtab.db-shm"):
        (home / name).unlink(missing_ok=True)
    shutil.rmtree(home / "blobs")
    found = restore(folder, settings, actor=actor, because=BECAUSE, told=silent)
    assert (found.kind, found.events) == (VerificationKind.INTACT, 4)
    assert files_in(home) >= kept
    assert (home / "decisions" / "slow" / "02.log").read_bytes() == b"decided since"
