"""Locks between processes: held by an open file or folder, and gone with the process that holds it."""

import sys


def lock(fd: int) -> bool:
    """Take the lock of an open file or folder if nobody holds it; it goes with the process that has it."""
    if sys.platform == "win32":  # pragma: no cover
        return True
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
