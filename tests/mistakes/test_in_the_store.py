"""Data and stores that are not as they were: damaged, tampered with, swapped, open to others, out of reach."""

import json
import shutil
import sqlite3
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from tests.mistakes.answers import Mistake, check
from tests.mistakes.standing import standing_of, unchanged

Typed = Callable[..., tuple[int, dict[str, str], str]]
Damage = Callable[[Path], object]

PREDICT = "predict slow --example"
APPROVE = "approve slow@3 --because better"
SERVE = "serve slow@1 --because again --route-only"
TOKEN = "token create ci --because x"


class Damaged(NamedTuple):
    """What somebody did to the home, what is typed then, and the answer."""

    damage: Damage
    line: str
    expected: Mistake
    code: int = 1
    changed: tuple[str, ...] = ()


class Sql(NamedTuple):
    """Write to the database past Trimtab, whichever it is."""

    statement: str

    def __call__(self, home: Path) -> None:
        url = tomllib.loads((home.parent / "trimtab.toml").read_text()).get("database")
        database: Any = psycopg.connect(url) if url else sqlite3.connect(home / "trimtab.db")
        with closing(database) as connection, connection:
            assert connection.execute(self.statement).rowcount == 1, self.statement


def blob_of(home: Path, *path: str | int) -> Path:
    """Return the blob that the champion's record names at a place, as in ``artifacts``, ``model``."""
    with closing(sqlite3.connect(home / "trimtab.db")) as connection:
        found = json.loads(connection.execute("SELECT record FROM registry_versions WHERE number = 1").fetchone()[0])
    for part in path:
        found = found[part]
    digits = str(found).removeprefix("sha256:")
    return home / "blobs" / digits[:2] / digits[2:]


def last_byte(*path: str | int) -> Damage:
    def flip(home: Path) -> None:
        blob = blob_of(home, *path)
        data = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    return flip


def swapped(home: Path) -> None:
    """Put the model's bytes where the snapshot's were."""
    shutil.copyfile(blob_of(home, "artifacts", "model"), blob_of(home, "lineage", "data", 0))


def missing(home: Path) -> None:
    blob_of(home, "artifacts", "model").unlink()


def mode(pattern: str, bits: int) -> Damage:
    return lambda home: [path.chmod(bits) for path in (home / "keys").glob(pattern)]


def text(pattern: str, content: str) -> Damage:
    return lambda home: [path.write_text(content) for path in home.glob(pattern)]


def database_of(size: int) -> Damage:
    """Overwrite the database with something else from a page on."""

    def overwrite(home: Path) -> None:
        for name in ("trimtab.db-wal", "trimtab.db-shm"):
            (home / name).unlink(missing_ok=True)
        file = home / "trimtab.db"
        file.write_bytes(file.read_bytes()[:size] + b"no database " * 4096)

    return overwrite


def without_blobs_folder(home: Path) -> None:
    shutil.rmtree(home / "blobs")
    (home / "blobs").write_text("moved to the attic")


VOID = ("version slow@1", "trimtab verify")
FAR = "postgresql://trimtab:secret@127.0.0.1:1/facts"

DAMAGED = {
    "the model's bytes": Damaged(
        last_byte("artifacts", "model"), PREDICT, Mistake("the approval of slow@1 is void", *VOID)
    ),
    "the model's bytes, served again": Damaged(
        last_byte("artifacts", "model"), SERVE, Mistake("the approval of slow@1 is void", *VOID)
    ),
    "the model's bytes, approved": Damaged(
        last_byte("artifacts", "model"), APPROVE, Mistake("is damaged", "store.blobs", "restore the blob from a backup")
    ),
    "the model is gone": Damaged(missing, PREDICT, Mistake("the approval of slow@1 is void", *VOID)),
    "the signature's bytes": Damaged(
        last_byte("artifacts", "signature"), PREDICT, Mistake("the approval of slow@1 is void", *VOID)
    ),
    "the sample's bytes": Damaged(
        last_byte("artifacts", "sample"), PREDICT, Mistake("is damaged", "store.blobs", "restore the blob")
    ),
    "the evaluation's bytes": Damaged(
        last_byte("evaluation"), APPROVE, Mistake("is damaged", "store.blobs", "restore the blob from a backup")
    ),
    "the snapshot's bytes": Damaged(
        last_byte("lineage", "data", 0), "data show parcels", Mistake("is damaged", "store.blobs", "from a backup")
    ),
    "another file as the snapshot": Damaged(
        swapped, "data show parcels", Mistake("is damaged", "store.blobs", "restore the blob from a backup")
    ),
    "a file as the blobs' folder": Damaged(
        without_blobs_folder, "status", Mistake("blobs is no folder", "store.blobs", "move away what stands at")
    ),
    "the version's record": Damaged(
        Sql("""UPDATE registry_versions SET record = replace(record, '"strength":', '"weakness":') WHERE number = 1"""),
        SERVE, Mistake("the approval of slow@1 is void", *VOID),
    ),
    "the reason of the approval": Damaged(
        Sql("UPDATE registry_approvals SET record = replace(record, 'the first model', 'a bribe') WHERE version = 1"),
        SERVE, Mistake("the approval of slow@1 is void", *VOID),
    ),
    "a status by hand": Damaged(
        Sql("UPDATE registry_versions SET status = 'approved' WHERE number = 3"),
        "serve slow@3 --because x --route-only", Mistake("the approval of slow@3 is void", "slow@3", "trimtab verify"),
    ),
    "the release says another version": Damaged(
        Sql("""UPDATE registry_releases SET release = replace(release, '"version":1', '"version":3')"""),
        SERVE, Mistake("the approval of slow@1 is void", *VOID),
    ),
    "the release cannot be read": Damaged(
        Sql("UPDATE registry_releases SET release = '{}'"),
        SERVE, Mistake("the approval of slow@1 is void", *VOID),
    ),
    "a version's record that cannot be read": Damaged(
        Sql("UPDATE registry_versions SET record = '[' WHERE number = 3"),
        APPROVE, Mistake("a row of the database cannot be read", "store.database", "trimtab verify"),
    ),
    "the routing names a candidate": Damaged(
        Sql("""UPDATE serving_routes SET routing = replace(routing, '"champion":1', '"champion":3')"""),
        PREDICT, Mistake("a row of serving_routes is not what the ledger says", "row slow of", "trimtab verify"),
    ),
    "the ledger's head is behind": Damaged(
        Sql("UPDATE ledger_head SET size = size - 1"),
        TOKEN, Mistake("the ledger's head is not where its events end", "store.ledger", "trimtab verify"),
    ),
    "the release key is open to others": Damaged(
        mode("release.ed25519", 0o644),
        APPROVE, Mistake("the key that signs releases is open to others", "keys/release.ed25519", "chmod 600"),
    ),
    "the release key is none": Damaged(
        text("keys/release.ed25519", "open sesame"),
        APPROVE, Mistake("the key that signs releases cannot be read", "keys/release.ed25519", "restore the file"),
    ),
    "the ledger's key is open to others": Damaged(
        mode("ledger-*.key", 0o640), TOKEN, Mistake("a signing key is open to others", "keys/ledger-", "chmod 600"),
    ),
    "the ledger's key is none": Damaged(
        text("keys/ledger-*.key", "open sesame"),
        TOKEN, Mistake("a signing key cannot be read", "keys", "restore the file from a backup"),
    ),
    "a newer schema": Damaged(
        Sql("UPDATE alembic_version SET version_num = '9999_future'"),
        "status", Mistake("newer than this version of Trimtab", "store.database", "pip install trimtab-VERSION.whl"),
    ),
    "a newer schema, verified": Damaged(
        Sql("UPDATE alembic_version SET version_num = '9999_future'"),
        "verify", Mistake("newer than this version of Trimtab", "store.database", "pip install trimtab-"), code=2,
    ),
    "another file as the database": Damaged(
        database_of(0), "status", Mistake("the database file is damaged", "store.database", "restore trimtab.db")
    ),
    "half a database, verified": Damaged(
        database_of(8192), "verify", Mistake("the database file is damaged", "store.database", "from a backup"), code=2
    ),
    "a database out of reach": Damaged(
        lambda home: (home.parent / "trimtab.toml").write_text(f'database = "{FAR}"\n'),
        "status", Mistake("the database cannot be reached", "setting database", "start PostgreSQL, or correct"),
    ),
    "a clock that does not tell": Damaged(
        text("clock.json", "noon"), "status", Mistake("does not say when the clock was set", "clock.json", "remove it")
    ),
    "another file as the online store": Damaged(
        text("online.db", "no database " * 999), "predict slow parcel_id=p3",
        Mistake("the online store does not answer", "online.db", "trimtab run VIEW"),
    ),
    "no online store": Damaged(
        lambda home: [path.unlink() for path in home.glob("online.db*")], "predict slow parcel_id=p3",
        Mistake("the online store holds nothing of features parcel", "features parcel", "trimtab run parcel"),
        changed=("views", "cells", "rows"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_not_as_it_was_is_told(folder: Path, typed: Typed, case: Damaged) -> None:
    home = folder / ".trimtab"
    case.damage(home)
    with unchanged(home, but=case.changed):
        code, parts, said = typed(case.line)
    assert code == case.code, said
    check(parts, case.expected)
    assert "Traceback" not in said
    assert "secret" not in said


BY_SQL = {name: case for name, case in DAMAGED.items() if isinstance(case.damage, Sql)} | {
    # There the head is the ledger's end, where on SQLite events may follow it.
    "the ledger's head is behind": Damaged(
        Sql("UPDATE ledger_head SET size = size - 1"),
        TOKEN, Mistake("and this home has seen it with", "store.ledger", "bring the newest database back"),
    ),
}  # fmt: skip


@pytest.fixture
def moved(folder: Path, typed: Typed, postgres_url: str, emptied: Callable[[str], None]) -> Path:
    """The prepared project, with its database on PostgreSQL."""
    emptied(postgres_url)
    code, _, said = typed(f"move --to '{postgres_url}' --because 'to a server' --yes")
    assert code == 0, said
    with (folder / "trimtab.toml").open("a") as settings:
        settings.write(f'database = "{postgres_url}"\n')
    return folder


@pytest.mark.parametrize("case", BY_SQL.values(), ids=BY_SQL.keys())
def test_what_is_not_as_it_was_is_told_on_postgresql(
    moved: Path, postgres_url: str, typed: Typed, case: Damaged
) -> None:
    home = moved / ".trimtab"
    case.damage(home)
    with unchanged(home, but=case.changed, database=postgres_url):
        code, parts, said = typed(case.line)
    assert code == case.code, said
    check(parts, case.expected)
    assert "Traceback" not in said


TAMPERED = pytest.mark.parametrize(
    ("damage", "says"),
    [
        (Sql("UPDATE ledger_events SET actor = 'mallory' WHERE position = 3"), "event 3"),
        (Sql("UPDATE ledger_head SET size = size - 1"), "the ledger's head"),
        (Sql("DELETE FROM ledger_head"), "another ledger"),
        (Sql("DELETE FROM ledger_events WHERE position = 5"), "5"),
    ],
    ids=["a row", "the head", "no head", "an event is gone"],
)


@TAMPERED
def test_a_ledger_that_was_tampered_with_is_told(folder: Path, typed: Typed, damage: Damage, says: str) -> None:
    tampered_is_told(folder, typed, damage, says)


@TAMPERED
def test_a_ledger_that_was_tampered_with_is_told_on_postgresql(
    moved: Path, typed: Typed, damage: Damage, says: str
) -> None:
    tampered_is_told(moved, typed, damage, says)


def tampered_is_told(folder: Path, typed: Typed, damage: Damage, says: str) -> None:
    damage(folder / ".trimtab")
    with unchanged(folder / ".trimtab", but=("ledger",)):
        code, _, said = typed("verify")
    assert code == 1, said
    verdict, *_, last = said.strip().splitlines()
    assert verdict.startswith("tampered: ")
    assert says in verdict
    assert last.startswith("  next      ")


def test_a_yes_whose_rollout_cannot_start_says_so(folder: Path, typed: Typed) -> None:
    """Nothing can stand beside a champion whose approval is void; the yes to another version holds all the same."""
    DAMAGED["the signature's bytes"].damage(folder / ".trimtab")
    code, parts, _ = typed(APPROVE)
    assert code == 1
    what = "slow@3 is approved, but its rollout did not start: the approval of slow@1 is void"
    check(parts, Mistake(what, "version slow@1", "trimtab serve slow@3 --because"))
    assert "slow: @3 100 %" in typed("serve slow@3 --because better --route-only")[2]


def test_a_decision_that_was_changed_is_not_explained(folder: Path, typed: Typed) -> None:
    home = folder / ".trimtab"
    before = set(standing_of(home).files)
    decision = typed(PREDICT)[2].split("trimtab why ")[1].split()[0]
    assert typed(f"why {decision}")[0] == 0
    (segment,) = [home / path for path in set(standing_of(home).files) - before]
    segment.chmod(0o644)
    segment.write_bytes(b"\0" * segment.stat().st_size)
    with unchanged(home):
        code, parts, _ = typed(f"why {decision}")
    assert code == 1
    check(parts, Mistake("is damaged", "store.blobs", "restore the blob from a backup"))
    segment.unlink()
    with unchanged(home):
        code, parts, _ = typed(f"why {decision}")
    assert code == 1
    check(parts, Mistake("there is no blob", "store.blobs", "restore it from a backup"))
