"""Back up a store while it is in use: one state of its database, every blob, and the files of its home.

A backup is a folder named after its moment, with the database as a SQLite file, whatever it was before. The blobs lie
beside these folders, once for all of them, so that a next backup brings only what is new. Under its name a backup is
complete; one that was not finished has another name, and the next one takes it away.
"""

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from trimtab.kernel import (
    VERSION,
    Clock,
    Invalid,
    NotFound,
    SystemClock,
    Unavailable,
    digest_of_file,
    lock,
)
from trimtab.store.admission import Closed, ClosedAs, Closing, close
from trimtab.store.arriving import head_in, unchecked
from trimtab.store.blobs import LocalBlobs
from trimtab.store.carrying import Sum, Told, copy_blobs, copy_tables
from trimtab.store.migrate import upgrade_to, version_of
from trimtab.store.moving import name_of
from trimtab.store.opened import Store

DATABASE = "trimtab.db"
MANIFEST = "backup.json"
BLOBS = "blobs"
BLOB_LIST = "blobs.txt"
HOME = "home"
_UNFINISHED = ".unfinished"
_BEFORE, _AROUND = ("clock.json", "keys", "witness"), ("decisions",)
"""What of a home is backed up besides its database and blobs: copied before the state is taken, since what is seen of a
ledger may not be ahead of it, or read around it. The rest can be made again, or only tells of the past."""


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. ``files`` are those beside the database with their digests; ``taken_at`` is the real time.

    ``damaged`` are blobs that the store could not give out whole: they are not in the backup.
    """

    name: str
    taken_at: str
    taken_of: str
    trimtab: str
    schema: str
    origin: str
    events: int
    root: str
    tables: dict[str, Sum]
    files: dict[str, str]
    blobs: int
    damaged: tuple[str, ...] = ()
    has_keys: bool = False


class BackupDamaged(Invalid):
    """A backup is not what it was when it was taken."""

    code = "store.backup-damaged"
    default_why = "{text}."
    default_next = "take an older one: trimtab restore FOLDER --taken NAME"


def back_up(store: Store, folder: Path, *, with_keys: bool = False, told: Told) -> Backup:
    """Take a backup of a store into a folder, beside those that are there.

    The database is read in one state; open decisions are those of that moment and a little more. Private keys are left
    out unless ``with_keys``. Safe while servers run. Raises ``Unavailable`` while another backup is taken there.
    """
    clock = SystemClock()
    with _held(folder):
        for left in folder.glob(f"*{_UNFINISHED}"):
            shutil.rmtree(left)
        blobs = LocalBlobs(folder / BLOBS)
        copy_blobs(store.blobs, blobs, told=told)  # most of the time passes before the state is taken
        name = _free_name(folder, clock)
        place = folder / f"{name}{_UNFINISHED}"
        place.mkdir(mode=0o700)
        backup = _taken(store, place, name, clock, with_keys=with_keys, told=told)
        damaged = copy_blobs(store.blobs, blobs, told=told)
        digests = sorted(blob.digest for blob in blobs.listed())
        (place / BLOB_LIST).write_text("".join(f"{digest}\n" for digest in digests), "utf-8")
        backup = msgspec.structs.replace(
            backup, files={**backup.files, BLOB_LIST: digest_of_file(place / BLOB_LIST)}, blobs=len(digests),
            damaged=tuple(sorted(str(error.data["digest"]) for error in damaged)),
        )  # fmt: skip
        (place / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(backup), indent=2))
        _force_all(place)
        place.rename(folder / name)
        _force(folder)
    return backup


def backups_in(folder: Path) -> list[Backup]:
    """Return the complete backups of a folder, the oldest first. Raises ``BackupDamaged`` for one without its list."""
    return [_manifest(file) for file in sorted(folder.glob(f"*/{MANIFEST}")) if not _is_unfinished(file.parent)]


def backup_named(folder: Path, name: str = "") -> Backup:
    """Return a backup, the newest one unless it is named. Raises ``NotFound``."""
    found = [backup for backup in backups_in(folder) if name in ("", backup.name)]
    if not found:
        raise NotFound(
            f"there is no backup {name} in {folder.name}" if name else f"there is no backup in {folder.name}",
            where=f"{folder}",
            why="A backup is a folder with a file backup.json, in the folder that trimtab backup was given.",
            next=f"look into the folder: ls {folder}",
        )
    return found[-1]


def _taken(store: Store, place: Path, name: str, clock: Clock, *, with_keys: bool, told: Told) -> Backup:
    """Copy the database and the files of the home, all of one moment."""
    with suppress(Closed):
        store.checkpoint()  # so that a signature covers all that is backed up
    home = store.settings.home_path
    with ExitStack() as stack:
        before = _open_files(stack, home, _BEFORE, with_keys=with_keys)
        digests = {path: _copied(file, place / path) for path, file in before.items()}
    with ExitStack() as stack, store.read() as source:
        # A segment of decisions may be sealed and removed at any time, and is still read as long as it is open. So what
        # was there before the state is taken is in the backup, as is what was there after.
        files = _open_files(stack, home, _AROUND, with_keys=with_keys)
        head = head_in(source)
        files = _open_files(stack, home, _AROUND, with_keys=with_keys) | files
        schema = str(version_of(source))
        mark = Closing(ClosedAs.BACKUP, name_of(store.settings), head.origin, clock.now().isoformat(timespec="seconds"))
        with unchecked(f"sqlite:///{place / DATABASE}") as database, database.write() as target:
            upgrade_to(target, "head")
            sums = copy_tables(source, target, told=told)
            close(target, mark)
        digests |= {path: _copied(file, place / path) for path, file in files.items()}
    with closing(sqlite3.connect(place / DATABASE)) as driver:
        driver.execute("PRAGMA journal_mode=DELETE")  # the file alone is the whole database
    digests[DATABASE] = digest_of_file(place / DATABASE)
    return Backup(
        name=name, taken_at=clock.now().isoformat(timespec="seconds"), taken_of=name_of(store.settings),
        trimtab=VERSION, schema=schema, origin=head.origin, events=head.size, root=head.root.hex(), tables=sums,
        files=digests, blobs=0, has_keys=with_keys,
    )  # fmt: skip


def _open_files(stack: ExitStack, home: Path, names: Iterable[str], *, with_keys: bool) -> dict[str, BinaryIO]:
    """Open files and all in the folders of a home that have these names, by their paths in a backup."""
    found = dict[str, BinaryIO]()
    for name in names:
        for path in [home / name, *sorted((home / name).rglob("*"))]:
            if path.name.startswith(".") or (not with_keys and is_private(path.relative_to(home))):
                continue
            try:
                found[f"{HOME}/{path.relative_to(home)}"] = stack.enter_context(path.open("rb"))
            except (FileNotFoundError, IsADirectoryError):
                continue
    return found


def is_private(path: Path) -> bool:
    """Say whether a file of a home, by its path in it, is a secret: of the keys, all but the public ones."""
    return path.parts[0] == "keys" and path.suffix != ".pub"


def _copied(file: BinaryIO, path: Path) -> str:
    """Write a copy that nobody else may read, if it is a key; return its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
        shutil.copyfileobj(file, copy)
    return digest_of_file(path)


def _free_name(folder: Path, clock: Clock) -> str:
    name = f"{clock.now():%Y%m%dT%H%M%SZ}"
    return name if not (folder / name).exists() else f"{name}-{secrets.token_hex(2)}"


def _manifest(file: Path) -> Backup:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Backup)
    except (OSError, msgspec.DecodeError) as error:
        raise BackupDamaged(
            f"the backup {file.parent.name} cannot be read", where=f"{file}", text=f"Its list says nothing: {error}"
        ) from None


def _is_unfinished(folder: Path) -> bool:
    return folder.name.endswith(_UNFINISHED)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder for one backup at a time. Raises ``Unavailable`` when another one has it, or it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise Invalid(
            f"{folder} cannot hold backups",
            where="argument FOLDER",
            why=f"The system says: {error.strerror}.",
            next="name a folder that you may write, on another disk than the home's: trimtab backup /mnt/backups",
        ) from None
    try:
        if not lock(opened):
            raise Unavailable(
                "another backup is being taken",
                where=f"{folder}",
                why="One at a time can bring blobs into a folder and take away what was left unfinished.",
                next="wait for it to end, and repeat this",
            )
        yield
    finally:
        os.close(opened)


def _force_all(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _force(path)


def _force(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
