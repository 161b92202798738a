"""Blobs: what is written under a digest is what is read under it, in files and in S3 alike."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.waiting import wait_until

from trimtab.kernel import Invalid, MissingExtra, NotFound, Settings, Unavailable, digest_of_bytes, digest_of_file
from trimtab.store import Blobs, Damaged, LocalBlobs
from trimtab.store.blobs import S3Blobs, blobs_of

NEVER = digest_of_bytes(b"never written")


def in_cache(folder: Path) -> list[str]:
    """The files of a cache, but for its lock."""
    return [path.name for path in (folder / "cache").rglob("*") if path.is_file() and path.name != "lock"]


@pytest.fixture
def s3_blobs(s3: str, tmp_path: Path) -> S3Blobs:
    prefix = tmp_path.name
    blobs = blobs_of(Settings(home=str(tmp_path), blobs=f"s3://models/{prefix}/", blobs_endpoint=s3))
    assert isinstance(blobs, S3Blobs)
    return blobs


@pytest.fixture(params=["files", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "files":
        return blobs_of(Settings(home=str(tmp_path)))
    return request.getfixturevalue("s3_blobs")


@pytest.mark.parametrize("data", [b"", b"x", b"flights" * 1_000_000], ids=["empty", "one", "long"])
def test_bytes_come_back(blobs: Blobs, data: bytes, tmp_path: Path) -> None:
    digest = blobs.put(data)
    assert digest == digest_of_bytes(data)
    assert blobs.has(digest)
    assert blobs.get(digest) == data
    assert blobs.local_path(digest).read_bytes() == data
    assert blobs.put(data) == digest
    (tmp_path / "file").write_bytes(data)
    assert blobs.put_file(tmp_path / "file") == digest


def test_a_file_comes_back(blobs: Blobs, tmp_path: Path) -> None:
    data = bytes(range(256)) * 50_000
    (tmp_path / "file").write_bytes(data)
    digest = blobs.put_file(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"something else")
    assert digest == digest_of_bytes(data)
    assert blobs.get(digest) == data
    assert blobs.local_path(digest).read_bytes() == data


@pytest.mark.parametrize(
    "given",
    [
        memoryview(pa.py_buffer(b"flights" * 1_000_000)),  # signed bytes
        memoryview(pa.allocate_buffer(0)),
        memoryview(np.arange(1_000, dtype=np.float64)),
        memoryview(np.arange(12, dtype=np.int16).reshape(3, 4)),
        bytearray(b"flights"),
    ],
    ids=["signed", "empty", "floats", "matrix", "bytearray"],
)
def test_any_buffer_is_kept_as_its_bytes(blobs: Blobs, given: memoryview | bytearray) -> None:
    data = bytes(given)
    assert blobs.put(given) == digest_of_bytes(data)
    assert blobs.get(digest_of_bytes(data)) == data
    assert blobs.put(given) == digest_of_bytes(data), "once more"


def test_blobs_go_from_store_to_store_in_pieces(blobs: Blobs, tmp_path: Path) -> None:
    data = bytes(range(256)) * 50_000
    digest = blobs.put(data)
    other = LocalBlobs(tmp_path / "other")
    assert other.put_pieces(blobs.pieces(digest)) == digest
    other.discard(digest)
    (tmp_path / "file").write_bytes(data)
    other.put_file(tmp_path / "file")
    short = other.put(b"short")
    assert blobs.put_pieces(other.pieces(short)) == short
    assert blobs.get(short) == b"short"
    assert {blob.digest: blob.size_bytes for blob in blobs.listed()} == {digest: len(data), short: 5}
    assert in_cache(tmp_path) == [], "what only passes through is not kept"


def test_a_damaged_blob_goes_nowhere_in_pieces(tmp_path: Path) -> None:
    source, target = LocalBlobs(tmp_path / "source"), LocalBlobs(tmp_path / "target")
    digest = source.put(b"the truth")
    source.local_path(digest).write_bytes(b"the trick")
    with pytest.raises(Damaged):
        target.put_pieces(source.pieces(digest))
    with pytest.raises(NotFound):
        target.put_pieces(source.pieces(NEVER))
    assert list(target.listed()) == []
    assert [path for path in (tmp_path / "target").rglob("*") if path.is_file()] == []


def test_what_was_never_written_is_not_found(blobs: Blobs, tmp_path: Path) -> None:
    assert not blobs.has(NEVER)
    for read in (blobs.get, blobs.local_path):
        with pytest.raises(NotFound):
            read(NEVER)
    with pytest.raises(NotFound):
        blobs.put_file(tmp_path / "missing")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "sha256:..", NEVER.upper(), NEVER + "0", "md5:" + "0" * 64])
def test_only_a_digest_is_an_address(blobs: Blobs, name: str) -> None:
    for read in (blobs.get, blobs.local_path, blobs.has):
        with pytest.raises(Invalid):
            read(name)


def test_many_may_write_the_same(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: blobs.put(b"the same" * 1000), range(16)))
    (digest,) = digests
    assert blobs.get(digest) == b"the same" * 1000


@given(data=st.binary(min_size=1, max_size=100), bit=st.integers(0, 7), where=st.floats(0, 0.99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_flipped_bit_is_found(tmp_path: Path, data: bytes, bit: int, where: float) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    digest = blobs.put(data)
    path = blobs.local_path(digest)
    changed = bytearray(data)
    changed[int(len(data) * where)] ^= 1 << bit
    path.write_bytes(changed)
    for read in (blobs.get, blobs.local_path):
        with pytest.raises(Damaged):
            read(digest)
    path.unlink()


def test_who_checks_again_and_again_reads_only_what_somebody_has_written_to(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = blobs.put(b"the truth")
    path, read = blobs.local_path(digest), list[Path]()

    def digest_of(path: Path) -> str:
        read.append(path)
        return digest_of_file(path)

    def touched() -> int:
        (tmp_path / "touched").touch()
        return (tmp_path / "touched").stat().st_ctime_ns

    monkeypatch.setattr("trimtab.store.blobs.local.digest_of_file", digest_of)
    monkeypatch.setattr("trimtab.store.blobs.local._SETTLED_S", 3600.0)
    for _ in range(3):
        blobs.check(digest)
    assert len(read) == 3, "it was written a moment ago"
    monkeypatch.setattr("trimtab.store.blobs.local._SETTLED_S", -1.0)
    for _ in range(3):
        blobs.check(digest)
    assert len(read) == 4
    with monkeypatch.context() as later:
        later.setattr("trimtab.store.blobs.local._BELIEVED_S", -1.0)
        blobs.check(digest)
    assert len(read) == 5, "a day is over"
    was = path.stat()
    wait_until(lambda: touched() > was.st_ctime_ns, "the file system's clock has ticked")
    path.write_bytes(b"the trick")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    if isinstance(blobs, LocalBlobs):
        for _ in range(2):
            with pytest.raises(Damaged):
                blobs.check(digest)
    else:
        blobs.check(digest)
        assert path.read_bytes() == b"the truth", "the copy was fetched anew"
    with pytest.raises(NotFound):
        blobs.check(NEVER)


@pytest.mark.parametrize("damage", [b"the lie..", b"the", b""])
def test_a_damaged_blob_is_whole_again_when_its_bytes_are_brought(tmp_path: Path, damage: bytes) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    path = blobs.local_path(blobs.put(b"the truth"))
    (tmp_path / "file").write_bytes(b"the truth")
    for bring in (lambda: blobs.put(b"the truth"), lambda: blobs.put_file(tmp_path / "file")):
        path.write_bytes(damage)
        assert blobs.get(bring()) == b"the truth"


def test_a_part_of_an_object_is_sent_anew(s3_blobs: S3Blobs, s3: str, tmp_path: Path) -> None:
    name = s3_blobs.put(b"the truth").removeprefix("sha256:")
    client = boto3.client(
        "s3", endpoint_url=s3, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    (tmp_path / "file").write_bytes(b"the truth")
    for bring in (lambda: s3_blobs.put(b"the truth"), lambda: s3_blobs.put_file(tmp_path / "file")):
        client.put_object(Bucket="models", Key=f"{tmp_path.name}/{name[:2]}/{name[2:]}", Body=b"the")
        assert s3_blobs.get(bring()) == b"the truth"


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            blobs.put(b"x")
    assert list((tmp_path / "blobs").rglob("*")) == []
    assert not blobs.has(digest_of_bytes(b"x"))


def test_a_damaged_object_is_not_believed(s3_blobs: S3Blobs, s3: str, tmp_path: Path) -> None:
    digest = s3_blobs.put(b"the truth")
    name = digest.removeprefix("sha256:")
    client = boto3.client(
        "s3", endpoint_url=s3, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    key = f"{tmp_path.name}/{name[:2]}/{name[2:]}"
    assert client.get_object(Bucket="models", Key=key)["Body"].read() == b"the truth"
    client.put_object(Bucket="models", Key=key, Body=b"a lie")
    for read in (s3_blobs.get, s3_blobs.local_path):
        with pytest.raises(Damaged):
            read(digest)
    assert in_cache(tmp_path) == []


def test_a_damaged_copy_is_fetched_again(s3_blobs: S3Blobs) -> None:
    digest = s3_blobs.put(b"the truth")
    copy = s3_blobs.local_path(digest)
    copy.write_bytes(b"a lie")
    assert s3_blobs.local_path(digest).read_bytes() == b"the truth"


def test_a_store_that_is_away_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "secret-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
    blobs = S3Blobs("s3://models", endpoint="http://127.0.0.1:9", cache=tmp_path)
    asks = (lambda: blobs.put(b"x"), lambda: blobs.get(NEVER), lambda: blobs.has(NEVER), lambda: [*blobs.listed()])
    for ask in asks:
        with pytest.raises(Unavailable) as caught:
            ask()
        assert "secret" not in str(caught.value)


def test_a_wrong_address_is_refused(tmp_path: Path) -> None:
    for url in ("s3://", "gs://bucket", "/tmp"):
        with pytest.raises(Invalid) as caught:
            blobs_of(Settings(home=str(tmp_path), blobs=url))
        assert caught.value.where == "setting blobs"


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtra) as caught:
        S3Blobs("s3://models", endpoint="", cache=tmp_path)
    assert caught.value.next == "pip install 'trimtab[s3]'"


def test_a_missing_bucket_is_an_error_of_ours(s3: str, s3_blobs: S3Blobs, tmp_path: Path) -> None:
    other = S3Blobs("s3://nothing", endpoint=s3, cache=tmp_path / "c")
    with pytest.raises(Unavailable, match="no such bucket"):
        other.put(b"x")
    with pytest.raises(Unavailable):
        list(other.listed())


def test_what_killed_writers_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    digest = LocalBlobs(folder).put(b"whole")
    old, young = folder / ".77.0123456789abcdef", folder / ".78.0123456789abcdef"
    for half in (old, young):
        half.write_bytes(b"ha")
    os.utime(old, (0, 0))
    blobs = LocalBlobs(folder)
    assert [file.name for file in folder.glob(".*")] == [young.name]
    assert blobs.get(digest) == b"whole"


def test_a_blob_that_the_disk_does_not_give_out_is_told_as_that(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    digest = blobs.put(b"data")
    path = blobs.local_path(digest)
    path.unlink()
    path.mkdir()  # reading it fails, as on a bad sector
    for read in (blobs.get, blobs.local_path):
        with pytest.raises(Unavailable, match="cannot be read"):
            read(digest)
