"""What the clients of servers remember on this machine, for one user: the newest checkpoint of each server's ledger.

A server whose database was put back from an older backup, home and all, cannot know it. Those who were answered later
than that can: so a client shows what it was given with each question, and the server holds its ledger against it.
"""

import logging
import os
from pathlib import Path
from urllib.parse import quote

from trimtab.kernel import Remote
from trimtab.store.ledger.notes import Checkpoint
from trimtab.store.ledger.witness import Witness

log = logging.getLogger("trimtab.client")


class KnownServer:
    """What is kept of the ledger of one server, in a folder of its own. Safe to share between threads and processes.

    Two servers may have copies of one ledger that go apart, as for trying things: neither is shown what the other gave.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self._witness = Witness(folder / quote(server, safe=""))
        self._server = server
        self._newest: Checkpoint | None = None
        self._origin: str | None = None

    def given(self) -> str:
        """Return the newest signed checkpoint that the server gave; nothing when it has given none yet."""
        if self._origin is None:
            self._origin = self._witness.last_at(self._server)
            self._newest = next(reversed(self._witness.checkpoints(self._origin)), None) if self._origin else None
        return self._newest.note if self._newest else ""

    def keep(self, note: str, *, key: str, shown: str = "") -> None:
        """Keep a checkpoint that came with an answer, where the server had been ``shown`` another one before.

        Says so when the ledger did not grow since: the server goes on with an older history, which somebody has
        accepted there. Raises ``Refused`` when the key did not sign it, or the same size had another root.
        """
        said = Checkpoint.parse(note)
        before = Checkpoint.parse(shown) if shown else None
        if before and before.origin == said.origin and said.size <= before.size and said.root != before.root:
            log.warning(
                "the ledger of %s goes on after %d events, and had %d: an older history was accepted there. "
                "See: trimtab get events --type store.history-accepted",
                self._server, said.size, before.size,
            )  # fmt: skip
            self._witness.forget(said.origin)
        self._witness.remember(note, key=key)
        self._witness.settle(said.origin, size=said.size)  # the server has held its ledger against what was before
        if said.origin != self._origin:
            self._witness.keep_at(self._server, said.origin)
        self._origin, self._newest = said.origin, said


def server_at(url: str, *, token: str = "") -> Remote:
    """Return the server at an address, asked by a client that remembers what it is answered."""
    server, folder = Remote(url, token=token), client_folder()
    server.memory = KnownServer(folder, server.place) if folder else None
    return server


def client_folder() -> Path | None:
    """Return the folder in which this user's clients remember; None for a user without a home."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        state = given if given.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return state / "trimtab" / "witness"
