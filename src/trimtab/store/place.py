"""Where a database's file is, so that nothing is written to one that was moved away."""

import os
from pathlib import Path

from trimtab.store.failures import StoreAway


class Place:
    """Where a database's file is. Open connections go on with a file that was moved or removed, and what they
    acknowledge would be gone with it; new ones would make an empty one in its place.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._known: tuple[int, int] | None = None

    def check(self) -> None:
        """Raise ``StoreAway`` when the file is not the one that was there at the first look."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  (for each change)
        except FileNotFoundError:
            if self._known is None:
                return  # it is made by who connects first
            raise _not_there("It was moved or removed while it was open.") from None
        except OSError as error:
            raise _not_there(f"The system says: {error.strerror}.") from None
        now = (found.st_dev, found.st_ino)
        if self._known is None:
            self._known = now
        elif now != self._known:
            raise _not_there("Another file stands in its place.")


def _not_there(why: str) -> StoreAway:
    return StoreAway(
        "the database is not where it was",
        where="store.database",
        why=f"{why} What was written now could be lost.",
        next="put the file back, and it goes on by itself; or start Trimtab again with the one that is there",
    )
