"""Who waits in this process for the positions of committed events, and who of them leads: asks for all that wait."""

import threading
from collections.abc import Mapping
from contextlib import suppress

from trimtab.store.ledger.records import Pending, Receipt

LOOK_S = 1.0
"""How often who waits looks whether it was woken in vain, or somebody who was to lead is gone."""


class Ticket:
    """Someone who waits: the events that lie in the outbox with their code, and the receipt as soon as it is there."""

    __slots__ = ("code", "events", "receipt", "thread", "woken")

    def __init__(self, events: list[Pending], code: bytes) -> None:
        self.events = events
        self.code = code
        self.receipt: Receipt | None = None
        self.thread = threading.current_thread()
        self.woken = threading.Lock()
        self.woken.acquire()

    @property
    def last_id(self) -> str:
        """The id of the last event, whose position is the receipt's."""
        return self.events[-1].id


class Waiting:
    """All who wait, in the order in which they came. Safe to share between threads.

    One of them leads at a time. Whoever leaves without a receipt, for whatever reason, hands the lead on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: dict[str, Ticket] = {}
        self._leader: Ticket | None = None

    def __len__(self) -> int:
        return len(self._tickets)

    def join(self, ticket: Ticket) -> bool:
        """Wait until there is the receipt, or nobody else leads; return whether this one leads now.

        Call ``leave`` afterwards in any case, also when this is interrupted.
        """
        with self._lock:
            self._tickets[ticket.last_id] = ticket
        while not self._may_lead(ticket):
            if ticket.receipt is not None:
                return False
            ticket.woken.acquire(timeout=LOOK_S)
        return ticket.receipt is None

    def leave(self, ticket: Ticket) -> None:
        """Wait no longer; let the next one lead, if this one did."""
        with self._lock:
            self._tickets.pop(ticket.last_id, None)
            if self._leader is not ticket:
                return
            self._leader = following = next(iter(self._tickets.values()), None)
        _wake(following)

    def snapshot(self) -> dict[str, Ticket]:
        """Return all who wait now, by the id of their last event."""
        with self._lock:
            return dict(self._tickets)

    def answer(self, receipts: Mapping[str, Receipt]) -> None:
        """Give receipts to those who wait for them."""
        with self._lock:
            answered = [self._tickets.pop(id_) for id_ in receipts.keys() & self._tickets.keys()]
            for ticket in answered:
                ticket.receipt = receipts[ticket.last_id]
        for ticket in answered:
            _wake(ticket)

    def _may_lead(self, ticket: Ticket) -> bool:
        with self._lock:
            if self._leader is None or not self._leader.thread.is_alive():
                self._leader = ticket
            return self._leader is ticket


def _wake(ticket: Ticket | None) -> None:
    if ticket is not None:
        with suppress(RuntimeError):  # it was woken already
            ticket.woken.release()
