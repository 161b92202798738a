"""Notice what a request changed, so that its answer can carry the receipt.

Rooms hand their receipts to nobody; the store that the server gives them tells whoever asked last in this context.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from trimtab.kernel import Actor
from trimtab.store import Change, Receipt, Store

_noticed: ContextVar[list[Receipt] | None] = ContextVar("noticed", default=None)


class NoticingStore(Store):
    """A store that tells the request in progress about each committed change."""

    @classmethod
    def around(cls, store: Store) -> "NoticingStore":
        """Return a store over the same database, blobs, clock and ids."""
        noticing = cls.__new__(cls)
        noticing.__dict__.update(store.__dict__)
        return noticing

    @contextmanager
    def change(
        self, actor: Actor, because: str = "", *, durable: bool = True, key: str | None = None
    ) -> Iterator[Change]:
        with super().change(actor, because, durable=durable, key=key) as change:
            yield change
        noticed = _noticed.get()
        if noticed is not None and change.receipt is not None:
            noticed.append(change.receipt)


@contextmanager
def noticing() -> Iterator[list[Receipt]]:
    """Collect the receipts of the changes made inside the block, in threads started from it too."""
    noticed: list[Receipt] = []
    token = _noticed.set(noticed)
    try:
        yield noticed
    finally:
        _noticed.reset(token)
