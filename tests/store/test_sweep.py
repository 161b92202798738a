"""Blobs that no row names are swept; any that a row names, or that is kept anew meanwhile, is there afterwards."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, text
from tests.forging import by_sql
from tests.store.aged import ANN, add, dry, gc, grow_old, with_ages
from tests.store.conftest import ThingMade

from trimtab.kernel import Settings, SystemClock, digest_of_bytes
from trimtab.store import LocalBlobs, Store, events, open_store
from trimtab.store.blobs import Blobs, S3Blobs
from trimtab.store.sweep import named_in, sweep

NOW = SystemClock().now
AGO = timedelta(hours=2)


@pytest.fixture
def swept(store: Store, things: Table) -> Store:
    return with_ages(store, keep_attempts="1h")


def swept_now(store: Store) -> int:
    grow_old(store.settings.home_path / "blobs")
    return gc(store, classes=("attempts",)).items[0].count


def name(store: Store, digest: str) -> None:
    """Let a row name a blob, somewhere in a text."""
    columns = "name, owner, description, added_at, added_by"
    row = f"'{digest[7:27]}', 'ann', 'see {digest}.', '2013', 'ann'"
    by_sql(store, f"INSERT INTO registry_models ({columns}) VALUES ({row})")


def test_what_no_row_names_goes_and_what_one_names_stays(swept: Store) -> None:
    named, unnamed = swept.blobs.put(b"named"), swept.blobs.put(b"unnamed")
    name(swept, named)
    assert swept_now(swept) == 1
    assert (swept.blobs.has(named), swept.blobs.has(unnamed)) == (True, False)
    (told,) = events(swept, type="store.blobs-removed")
    assert (told.data["digests"], told.data["count"], told.data["size_bytes"]) == ([unnamed], 1, 7)
    assert swept_now(swept) == 0
    assert len(events(swept, type="store.blobs-removed")) == 1


def test_an_event_keeps_no_blob(swept: Store) -> None:
    digest = swept.blobs.put(b"remembered")
    add(swept, "a-1")
    with swept.change(ANN, f"it had {digest}") as change:
        change.record(ThingMade(thing=digest, n=1))
    assert swept_now(swept) == 1


def test_what_is_young_stays(swept: Store) -> None:
    digest = swept.blobs.put(b"just written")
    assert gc(swept, classes=("attempts",)).items[0].count == 0
    assert swept.blobs.has(digest)


def test_a_dry_run_counts_and_removes_nothing(swept: Store) -> None:
    digest = swept.blobs.put(b"unnamed")
    grow_old(swept.settings.home_path / "blobs")
    found = dry(swept, classes=("attempts",)).items[0]
    assert (found.count, found.size_bytes, swept.blobs.has(digest)) == (1, 7, True)


def test_every_text_column_of_every_table_names(swept: Store) -> None:
    """Whatever a room adds: only the ledger, and columns that are told apart, name nothing."""
    with swept.read() as connection:
        assert named_in(connection) == set()
    digest = digest_of_bytes(b"x")
    for table, column in (("loop_marks", "model"), ("server_tokens", "may"), ("registry_models", "owner")):
        with swept.database.write() as connection:
            found = connection.execute(text(f'SELECT * FROM "{table}"')).keys()
            values = {one: f"'{digest}'" if one == column else "'x'" for one in found if one != "revoked_at"}
            connection.exec_driver_sql(
                f'INSERT INTO "{table}" ({", ".join(values)}) VALUES ({", ".join(values.values())})'
            )
        with swept.read() as connection:
            assert named_in(connection) == {bytes.fromhex(digest[7:])}, (table, column)
        by_sql(swept, f'DELETE FROM "{table}"')


@pytest.fixture(params=["files", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "files":
        return LocalBlobs(tmp_path / "blobs")
    endpoint = request.getfixturevalue("s3")
    return S3Blobs(f"s3://models/{tmp_path.name}", endpoint=endpoint, cache=tmp_path / "cache")


def test_a_blob_is_removed_unless_it_was_kept_since(blobs: Blobs) -> None:
    digest = blobs.put(b"kept")
    (listed,) = blobs.listed()
    assert abs(listed.written_at - NOW()) < timedelta(minutes=1)
    assert not blobs.remove(digest, before=NOW() - AGO)
    assert blobs.get(digest) == b"kept"
    assert blobs.remove(digest, before=NOW() + AGO)
    assert not blobs.has(digest)
    assert not blobs.remove(digest, before=NOW() + AGO)
    assert blobs.put(b"kept") == digest
    assert blobs.get(digest) == b"kept"


@pytest.mark.parametrize("how", ["put", "put_file", "put_pieces"])
def test_keeping_the_same_bytes_makes_a_blob_young(tmp_path: Path, how: str) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    digest = blobs.put(b"kept")
    grow_old(tmp_path / "blobs")
    (tmp_path / "file").write_bytes(b"kept")
    given = {"put": b"kept", "put_file": tmp_path / "file", "put_pieces": [b"ke", b"pt"]}[how]
    assert getattr(blobs, how)(given) == digest
    assert not blobs.remove(digest, before=NOW() - AGO)


def test_a_bucket_is_sent_again_what_lies_there_for_long(s3: str, tmp_path: Path) -> None:
    address = {"endpoint": s3, "cache": tmp_path / "cache"}
    url = f"s3://models/{tmp_path.name}"
    patient = S3Blobs(url, refresh=timedelta(days=3), **address)
    digest = patient.put(b"kept")
    (first,) = patient.listed()
    patient.put(b"kept")
    assert list(patient.listed()) == [first]
    wary = S3Blobs(url, refresh=timedelta(seconds=0), **address)
    time.sleep(1.1)  # a bucket tells seconds
    wary.put(b"kept")
    (second,) = wary.listed()
    assert second.written_at > first.written_at
    assert not wary.remove(digest, before=second.written_at)


def test_a_store_in_a_bucket_is_swept(s3: str, tmp_path: Path) -> None:
    store = open_store(Settings(home=str(tmp_path), blobs=f"s3://models/{tmp_path.name}", blobs_endpoint=s3))
    try:
        named, unnamed = store.blobs.put(b"named"), store.blobs.put(b"unnamed")
        assert store.blobs.local_path(unnamed).is_file()
        name(store, named)
        found = sweep(store, before=NOW() + AGO, age="1h", actor=ANN, because="old")
        assert (found.count, store.blobs.has(named), store.blobs.has(unnamed)) == (1, True, False)
        assert not any((tmp_path / "cache").rglob(unnamed[9:]))
    finally:
        store.close()


def test_whoever_puts_while_a_sweep_removes_finds_the_bytes(tmp_path: Path) -> None:
    putting, sweeping = LocalBlobs(tmp_path / "blobs"), LocalBlobs(tmp_path / "blobs")
    digest = putting.put(b"kept")
    removed = 0
    for _ in range(200):
        grow_old(tmp_path / "blobs")
        with ThreadPoolExecutor(2) as pool:
            gone = pool.submit(sweeping.remove, digest, before=NOW() - AGO)
            pool.submit(putting.put, b"kept").result()
            removed += gone.result()
        assert putting.get(digest) == b"kept"
    assert 0 <= removed <= 200


contents = st.lists(st.integers(0, 30), unique=True, max_size=12)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=contents, named=st.frozensets(st.integers(0, 30)), young=st.frozensets(st.integers(0, 30)))
def test_after_any_sweep_each_blob_that_a_row_names_is_there(
    swept: Store, kept: list[int], named: frozenset[int], young: frozenset[int]
) -> None:
    by_sql(swept, "DELETE FROM registry_models")
    digests = {n: swept.blobs.put(b"%d" % n) for n in kept}
    for n in named & digests.keys():
        name(swept, digests[n])
    grow_old(swept.settings.home_path / "blobs")
    for n in young & digests.keys():
        swept.blobs.put(b"%d" % n)
    gc(swept, classes=("attempts",))
    assert {n for n, digest in digests.items() if swept.blobs.has(digest)} == digests.keys() & (named | young)
