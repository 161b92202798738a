"""A small disk of its own for one test: a real file system that can be really full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

BALLAST = "ballast"


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """Mount an empty file system of this size at ``folder``; skip where nobody may mount."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "trimtab-test", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Write until the disk says that it is full, to the last byte."""
    with (disk / BALLAST).open("ab", buffering=0) as file:
        for piece in (1 << 20, 4096, 1):
            with pytest.raises(OSError, match="No space left on device"):
                _write_for_ever(file, bytes(piece))
    assert os.statvfs(disk).f_bavail == 0


def _write_for_ever(file: IO[bytes], piece: bytes) -> None:
    while True:
        file.write(piece)


def make_room(disk: Path) -> None:
    (disk / BALLAST).unlink()
