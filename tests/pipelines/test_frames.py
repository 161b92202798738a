"""Frames between steps."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from trimtab.kernel import Actor, Invalid, NotFound
from trimtab.pipelines import StepContext, put_frame, read_frame
from trimtab.pipelines.guest import GuestAnswer, GuestContext, Returned
from trimtab.store import Damaged, LocalBlobs, Store

TABLE = pa.table(
    {
        "at": pa.array([datetime(2013, 3, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "value": [1.5, None],
        "name": ["a", "ž"],
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "list": [[1, 2], None],
    }
)


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def test_a_frame_comes_back_as_it_was(blobs: LocalBlobs) -> None:
    for table in (TABLE, TABLE.slice(0, 0), pa.table({})):
        back = read_frame(blobs, put_frame(blobs, table))
        assert back.equals(table)
        assert back.schema == table.schema


def test_equal_frames_have_one_digest_however_they_are_chunked(blobs: LocalBlobs) -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 1)])
    assert put_frame(blobs, chunked) == put_frame(blobs, TABLE)
    assert put_frame(blobs, pa.concat_tables([TABLE, TABLE]).slice(2, 2)) == put_frame(blobs, TABLE)
    assert put_frame(blobs, TABLE.slice(0, 1)) != put_frame(blobs, TABLE)


def test_a_frame_is_mapped_and_not_copied(blobs: LocalBlobs) -> None:
    digest = put_frame(blobs, pa.table({"x": pa.array(range(1_000_000))}))
    before = pa.total_allocated_bytes()
    table = read_frame(blobs, digest)
    assert table.column("x")[999_999].as_py() == 999_999
    assert pa.total_allocated_bytes() - before < 100_000


def test_what_is_no_frame_is_refused(blobs: LocalBlobs) -> None:
    with pytest.raises(Invalid, match="list"):
        put_frame(blobs, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="not a frame"):
        read_frame(blobs, blobs.put(b"something else"))
    with pytest.raises(NotFound):
        read_frame(blobs, "sha256:" + "0" * 64)
    digest = put_frame(blobs, TABLE)
    path = blobs.local_path(digest)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(Damaged):
        read_frame(blobs, digest)


def test_a_context_made_by_hand_serves_the_test_of_a_step(sqlite_store: Store, actor: Actor) -> None:
    context = StepContext(store=sqlite_store, params={"x": 1}, inputs={"a": {"y": 2}}, actor=actor)
    digest = context.put_frame(TABLE)
    kept = context.put_bytes(b"abc")
    context.progress(1, 2, "rows")
    assert context.frame(digest).equals(TABLE)
    assert context.get_bytes(kept) == b"abc"
    assert context.kept == (digest, kept)
    assert (context.params, context.inputs, context.store) == ({"x": 1}, {"a": {"y": 2}}, sqlite_store)


def test_the_parts_of_a_guests_answer_come_back_whatever_lies_before_them() -> None:
    with tempfile.TemporaryFile() as file:
        context = GuestContext({}, {}, os.dup(file.fileno()))
        context.put_bytes("first", b"abc")
        context.put_frame("rows", TABLE)
        context.put_frame("none", TABLE.slice(0, 0))
        context.put_bytes("last", b"xyz")
        context.close()
        file.seek(0)
        answer = GuestAnswer(Returned(value=msgspec.Raw(b"{}"), parts=context.parts), memoryview(file.read()))
    assert (answer.bytes("first"), answer.bytes("last")) == (b"abc", b"xyz")
    assert answer.frame("rows").equals(TABLE)
    assert answer.frame("none").equals(TABLE.slice(0, 0))
