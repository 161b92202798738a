"""Rows and keys as bytes: a bitmap of what is absent, fixed-width columns, then the texts one after another.

Whole tables are packed at once with NumPy and Arrow; single rows are unpacked with ``struct``.
"""

import struct
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.features.records import Scalar

Width = Literal["float", "int", "bool", "category", "time"]

_CODES: dict[Width, tuple[str, str]] = {
    "float": ("d", "<f8"),
    "int": ("q", "<i8"),
    "time": ("q", "<i8"),
    "bool": ("?", "?"),
    "category": ("I", "<u4"),  # the text's length in bytes
}

key_of = msgspec.msgpack.Encoder().encode
"""Turn the values of a key, as a tuple, into bytes: equal values, equal bytes; 1, "1" and True differ."""


class RowLayout:
    """How rows of some columns lie in bytes."""

    def __init__(self, widths: Sequence[Width]) -> None:
        self._widths = tuple(widths)
        self._bitmap = (len(widths) + 7) // 8
        self._struct = struct.Struct(f"<{self._bitmap}s" + "".join(_CODES[w][0] for w in widths))
        self._texts = tuple(i for i, w in enumerate(widths) if w == "category")
        self._nothing_absent = bytes(self._bitmap)

    def pack(self, columns: Sequence[pa.Array]) -> list[bytes]:
        """Pack every row of some columns, given in the layout's order and canonical types."""
        rows = len(columns[0]) if columns else 0
        names = [(f"c{i}", _CODES[width][1]) for i, width in enumerate(self._widths)]
        fixed = np.zeros(rows, np.dtype([("absent", "u1", (self._bitmap,)), *names]))
        if not rows:
            return []
        absent = np.column_stack([_mask(pc.is_null(column)) for column in columns])
        fixed["absent"] = np.packbits(absent, axis=1, bitorder="little")
        for i, (width, column) in enumerate(zip(self._widths, columns, strict=True)):
            fixed[f"c{i}"] = _fixed_part(width, column)
        data, size = fixed.tobytes(), fixed.dtype.itemsize
        starts = range(0, len(data), size)
        if not self._texts:
            return [data[at : at + size] for at in starts]
        parts = [pc.fill_null(columns[i].cast(pa.large_binary()), b"") for i in self._texts]
        pools = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary())).to_pylist()
        return [data[at : at + size] + pool for at, pool in zip(starts, pools, strict=True)]

    def unpack(self, data: bytes, at: int = 0) -> tuple[Scalar, ...]:
        """Unpack the row that begins at byte ``at``."""
        absent, *values = self._struct.unpack_from(data, at)
        if self._texts:
            at += self._struct.size
            for i in self._texts:
                length = values[i]
                values[i] = data[at : at + length].decode()
                at += length
        if absent != self._nothing_absent:
            bits = int.from_bytes(absent, "little")
            values = [None if bits >> i & 1 else value for i, value in enumerate(values)]
        return tuple(values)


def _fixed_part(width: Width, column: pa.Array) -> Any:
    if width == "category":
        return pc.fill_null(pc.binary_length(column), 0).to_numpy()
    if width == "bool":
        return pc.fill_null(column, False).to_numpy(zero_copy_only=False)
    if width == "time":
        column = column.cast(pa.int64())
    return pc.fill_null(column, 0).to_numpy()


def _mask(column: pa.Array) -> Any:
    return column.to_numpy(zero_copy_only=False)
