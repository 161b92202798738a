"""Who waits for positions: one leads, each gets the receipt, and nobody waits for one who is gone."""

import threading
from collections.abc import Callable

from tests.waiting import PATIENCE_S, wait_until

from trimtab.store import Receipt
from trimtab.store.ledger.records import Pending
from trimtab.store.ledger.waiting import Ticket, Waiting


def ticket(name: str) -> Ticket:
    event = Pending(id=name, at="", actor="", type="", idempotency_key=None, body=b"", subjects=())
    return Ticket([event], name.encode())


def beside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_one_leads_and_answers_the_others() -> None:
    waiting, led, answered = Waiting(), [], []

    def wait(name: str) -> None:
        mine = ticket(name)
        try:
            if waiting.join(mine):
                led.append(name)
                wait_until(lambda: len(waiting) == 3, "all of them wait")
                waiting.answer({id_: Receipt(n) for n, id_ in enumerate(sorted(waiting.snapshot()))})
        finally:
            waiting.leave(mine)
        assert mine.receipt is not None
        answered.append((name, mine.receipt.position))

    threads = [beside(lambda name=name: wait(name)) for name in "abc"]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(led) == 1
    assert sorted(answered) == [("a", 0), ("b", 1), ("c", 2)]
    assert len(waiting) == 0


def test_the_lead_goes_to_none_who_has_left() -> None:
    waiting, first, gone, last, led = Waiting(), ticket("first"), ticket("gone"), ticket("last"), threading.Event()
    assert waiting.join(first)

    def leave_again() -> None:
        try:
            gone.woken.release()  # as an interruption does: it comes back, and nothing is there
            waiting.join(gone)
        finally:
            waiting.leave(gone)

    def follow() -> None:
        assert waiting.join(last)
        led.set()

    seen = beside(leave_again)
    wait_until(lambda: len(waiting) == 2, "it waits")
    taken = waiting.snapshot()
    waiting.answer({"gone": Receipt(0)})
    seen.join(PATIENCE_S)
    beside(follow)
    wait_until(lambda: len(waiting) == 2, "the last one waits")
    assert "gone" in taken, "who leads has it among those to ask for"
    waiting.leave(first)
    assert led.wait(PATIENCE_S)


def test_a_leader_whose_thread_is_gone_is_not_waited_for() -> None:
    waiting, led = Waiting(), threading.Event()
    beside(lambda: waiting.join(ticket("dead"))).join(PATIENCE_S)

    def follow() -> None:
        assert waiting.join(ticket("next"))
        led.set()

    beside(follow)
    assert led.wait(PATIENCE_S)
