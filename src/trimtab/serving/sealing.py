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
from threading import Event

import msgspec
import pyarrow as pa

from trimtab.serving.errors import LogDamaged
from trimtab.serving.frames import Scan
from trimtab.serving.segments import parquet_of, table_of

HERE_BYTES = 256 << 10
"""Size up to which a segment is converted in this process."""
TIMEOUT_S = 300
LOOK_S = 0.1
_HEAD = struct.Struct("<I")
_COMMAND = "from trimtab.serving.sealing import main; main()"
_log = logging.getLogger(__name__)


class Sealed(msgspec.Struct, frozen=True):
    """A segment as Parquet (empty when it holds no decision), and how many of its frames are damaged."""

    data: bytes
    damaged: int


def sealed(path: Path, *, stopping: Event) -> Sealed | None:
    """Return a closed segment in its sealed form; None when ``stopping`` was set before that. Raises ``LogDamaged``."""
    if path.stat().st_size > HERE_BYTES and sys.executable:
        try:
            data = _beside(path, stopping)
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("decision segment %s is sealed in the server's own process: %s", path.stem, error)
        else:
            return None if data is None else Sealed(data[_HEAD.size :], _HEAD.unpack_from(data)[0])
    return None if stopping.is_set() else _converted(path)


def _beside(path: Path, stopping: Event) -> bytes | None:
    """Return what a process of its own makes of a segment; None when it was stopped."""
    command = [sys.executable, "-c", _COMMAND, str(path)]
    with subprocess.Popen(  # noqa: S603  # this interpreter, our own code, a path that we made
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for _ in range(int(TIMEOUT_S / LOOK_S)):
            if stopping.is_set():
                process.kill()
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                data, _ = process.communicate(timeout=LOOK_S)
                if process.returncode:
                    raise subprocess.CalledProcessError(process.returncode, command)
                return data
        process.kill()
        raise subprocess.TimeoutExpired(command, TIMEOUT_S)


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
