"""Restore a backup into a home and a database that hold nothing, or rehearse that and throw the result away."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from trimtab.kernel import Actor, Clock, Settings, digest_of_file
from trimtab.store.arriving import fill, make_ready, unchecked
from trimtab.store.backup import BLOB_LIST, BLOBS, DATABASE, HOME, Backup, BackupDamaged, backup_named, is_private
from trimtab.store.blobs import Blobs, Damaged, LocalBlobs, blobs_of
from trimtab.store.carrying import Told, copy_blobs
from trimtab.store.clocks import clock_of
from trimtab.store.database import Database
from trimtab.store.events import Event, Subject
from trimtab.store.ledger.verify import Verification, verify
from trimtab.store.migrate import refuse_newer, upgrade_to, version_of
from trimtab.store.opened import make_home, open_store, url_of


class StoreRestored(Event, frozen=True, kw_only=True):
    """The ledger was restored from a backup of ``size`` events with ``root``; what came after them is not here."""

    type: ClassVar[str] = "store.restored"
    origin: str
    backup: str
    taken_at: str
    size: int
    root: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("ledger", self.origin),)


def restore(
    folder: Path,
    settings: Settings,
    *,
    name: str = "",
    actor: Actor,
    because: str,
    told: Told,
    clock: Clock | None = None,
) -> Verification:
    """Restore a backup (the newest, unless ``name`` says which) to where the settings point; verify what came.

    The database must hold nothing; files that are in the home stay as they are. After a crash the same call begins
    again. Raises ``HoldsSomething``, ``BackupDamaged`` when a file or a blob of the backup is not what it was, and
    ``NewerDatabase`` for a backup that a later version has taken.
    """
    backup = backup_named(folder, name)
    _check_files(folder, backup)
    make_home(settings.home_path)
    clock = clock or clock_of(settings)
    with _read(folder, backup) as source, unchecked(url_of(settings)) as target:
        with source.read() as connection:
            make_ready(target, connection, sender=f"the backup {backup.name}", clock=clock)
        _bring_blobs(folder, backup, blobs_of(settings), told)
        _lay_files(folder, backup, settings.home_path)
        with source.read() as connection:
            fill(target, connection, told=told)
    store = open_store(settings, clock=clock)
    try:
        if store.has_key:  # else the home only reads, until the key is there
            with store.change(actor, because) as change:
                change.record(
                    StoreRestored(
                        origin=backup.origin, backup=backup.name, taken_at=backup.taken_at, size=backup.events,
                        root=backup.root,
                    )
                )  # fmt: skip
        return verify(store)
    finally:
        store.close()


def rehearse(folder: Path, *, name: str = "", told: Told, by: Settings | None = None) -> Verification:
    """Restore a backup into a temporary home, read every blob of it, and verify its ledger there.

    ``by`` are the settings that open a token which keeps the ledger's key.
    Raises what ``restore`` raises, and ``BackupDamaged`` when what came is not what the backup says that it holds.
    """
    backup = backup_named(folder, name)
    _check_files(folder, backup)
    _check_blobs(folder, backup, told)
    with tempfile.TemporaryDirectory(prefix="trimtab-rehearsal-") as temporary:
        given = by or Settings()
        settings = Settings(home=temporary, pkcs11_library=given.pkcs11_library, pkcs11_pin=given.pkcs11_pin)
        with _read(folder, backup) as source, unchecked(url_of(settings)) as target, source.read() as connection:
            make_ready(target, connection, sender=f"the backup {backup.name}", clock=clock_of(settings))
            sums = fill(target, connection, told=told)
            migrated = version_of(connection) != backup.schema
        _lay_files(folder, backup, settings.home_path)
        store = open_store(settings)
        try:
            found = verify(store)
        finally:
            store.close()
    wrong = [] if migrated else [name for name in backup.tables if sums[name] != backup.tables[name]]
    if wrong or (found.events, found.root.hex()) != (backup.events, backup.root):
        raise _damaged(folder, backup, f"What it holds is not what it says, in {', '.join(wrong) or 'the ledger'}")
    return found


def _check_files(folder: Path, backup: Backup) -> None:
    for path, digest in backup.files.items():
        file = folder / backup.name / path
        if not file.is_file() or digest_of_file(file) != digest:
            raise _damaged(folder, backup, f"{path} is not what it was, or not there")


def _check_blobs(folder: Path, backup: Backup, told: Told) -> None:
    blobs, digests = LocalBlobs(folder / BLOBS), sorted(_digests(folder, backup))
    for number, digest in enumerate(digests, 1):
        try:
            for _ in blobs.pieces(digest):
                pass
        except Damaged as error:
            raise _damaged(folder, backup, f"{error.what[0].upper()}{error.what[1:]}") from None
        told("blobs", number, len(digests))


def _bring_blobs(folder: Path, backup: Backup, target: Blobs, told: Told) -> None:
    source, digests = LocalBlobs(folder / BLOBS), _digests(folder, backup)
    missing = digests - {blob.digest for blob in source.listed()}
    damaged = copy_blobs(source, target, only=digests, told=told)
    if missing or damaged:
        text = f"{len(missing)} of its blobs are not there, and {len(damaged)} are damaged"
        raise _damaged(folder, backup, text)


def _digests(folder: Path, backup: Backup) -> frozenset[str]:
    return frozenset((folder / backup.name / BLOB_LIST).read_text("utf-8").split())


def _lay_files(folder: Path, backup: Backup, home: Path) -> None:
    """Lay the files of a backup into a home; what is there stays."""
    for path in backup.files:
        if not path.startswith(f"{HOME}/"):
            continue
        own = Path(path).relative_to(HOME)
        target = home / own
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if own.parts[0] == "keys" else 0o777)
        temporary = target.with_name(f".{target.name}.restored")
        shutil.copyfile(folder / backup.name / path, temporary)
        temporary.chmod(0o600 if is_private(own) else 0o644)
        temporary.replace(target)


@contextmanager
def _read(folder: Path, backup: Backup) -> Iterator[Database]:
    """Open a copy of a backup's database, brought up to date: the backup itself stays as it is."""
    with tempfile.TemporaryDirectory(prefix="trimtab-restore-") as temporary:
        copy = Path(temporary) / DATABASE
        shutil.copyfile(folder / backup.name / DATABASE, copy)
        with unchecked(f"sqlite:///{copy}") as database:
            with database.write() as connection:
                refuse_newer(version_of(connection))
                upgrade_to(connection, "head")
            yield database


def _damaged(folder: Path, backup: Backup, text: str) -> BackupDamaged:
    return BackupDamaged(f"the backup {backup.name} is damaged", where=f"{folder}", text=text)
