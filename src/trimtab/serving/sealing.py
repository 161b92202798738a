"""Turn a segment's file into the bytes of a sealed blob, beside the server and not in it.

Walking tens of thousands of rows holds Python's lock and fills its memory for most of a second, in which no request
would be answered. So all but small segments are converted by a process of their own.
"""

import contextlib
import logging
import os
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow as pa

from trimtab.serving.errors import LogDamaged
from trimtab.serving.frames import Scan
from trimtab.serving.segments import parquet_of, table_of

HERE_BYTES = 256 << 10
"""Size up to which a segment is converted in this process."""
TIMEOUT_S = 300
_HEAD = struct.Struct("<I")
_COMMAND = "from trimtab.serving.sealing import main; main()"
_log = logging.getLogger(__name__)


class Sealed(msgspec.Struct, frozen=True):
    """A segment as Parquet (empty when it holds no decision), and how many of its frames are damaged."""

    data: bytes
    damaged: int


def sealed(path: Path) -> Sealed:
    """Return a closed segment in its sealed form. Raises ``LogDamaged``."""
    if path.stat().st_size > HERE_BYTES and sys.executable:
        try:
            done = subprocess.run(  # noqa: S603  # this interpreter, our own code, a path that we made
                [sys.executable, "-c", _COMMAND, str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                timeout=TIMEOUT_S, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("decision segment %s is sealed in the server's own process: %s", path.stem, error)
        else:
            return Sealed(done.stdout[_HEAD.size :], _HEAD.unpack_from(done.stdout)[0])
    return _converted(path)


def main() -> None:
    """Convert the segment that the first argument names and write the result to standard output."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    result = _converted(Path(sys.argv[1]))
    sys.stdout.buffer.write(_HEAD.pack(result.damaged) + result.data)


def _converted(path: Path) -> Sealed:
    scan = Scan()
    try:
        table = table_of(path.read_bytes(), scan)
        return Sealed(parquet_of(table) if table.num_rows else b"", scan.damaged)
    except (pa.ArrowException, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise LogDamaged(
            f"segment {path.stem} of the decision log cannot be sealed", where=f"decisions/{path.parent.name}",
            why=f"Its decisions do not fit one table ({' '.join(str(error).split())[:200] or type(error).__name__}).",
            next="keep the file, which is still read, and report this",
        ) from error  # fmt: skip
