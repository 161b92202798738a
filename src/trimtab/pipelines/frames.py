"""Frames between steps: Arrow IPC in the blob store, written once and mapped into memory when read."""

from typing import TYPE_CHECKING

from trimtab.kernel import Invalid
from trimtab.store import Blobs

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_BATCH = 1 << 20


def put_frame(blobs: Blobs, table: "pa.Table") -> str:
    """Keep a table and return its digest. Equal tables give equal digests, however their columns were chunked."""
    import pyarrow as pa

    if not isinstance(table, pa.Table):
        raise Invalid(
            f"a {type(table).__name__} was given as a frame",
            where="pipelines.put_frame",
            why="Frames pass between steps as Arrow tables.",
            next="pa.Table.from_pandas(frame), or frame.to_arrow() for Polars",
        )
    whole = table.unify_dictionaries().combine_chunks()
    counted = pa.MockOutputStream()
    _write(whole, counted)
    # A buffer of the right size: one that grows would copy what it holds again and again.
    data = pa.allocate_buffer(counted.size())
    _write(whole, pa.FixedSizeBufferWriter(data))
    return blobs.put(memoryview(data))


def _write(table: "pa.Table", sink: "pa.NativeFile") -> None:
    import pyarrow as pa

    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=ROWS_A_BATCH)


def read_frame(blobs: Blobs, digest: str) -> "pa.Table":
    """Return a kept table, verified; its columns lie in the mapped file, so reading costs no memory of its own."""
    import pyarrow as pa

    path = blobs.local_path(digest)
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except pa.ArrowInvalid as error:
        raise Invalid(
            f"blob {digest[:19]}… is not a frame",
            where="pipelines.frame",
            why=f"It is not in the Arrow IPC file format ({str(error).splitlines()[0]}).",
            next="read it with context.get_bytes(digest)",
        ) from None
