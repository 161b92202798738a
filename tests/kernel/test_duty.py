"""Background work: whatever ends a round of it is told, and the next round comes."""

import ctypes
import threading
from collections.abc import Iterator

import pytest
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Duty, Unavailable


class Rounds:
    """Work that fails as often as it is told to, and counts how often it was done."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.done = 0

    def __call__(self) -> None:
        if self.failures:
            raise self.failures[0]
        self.done += 1


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    monkeypatch.setattr("trimtab.kernel.duty.FIRST_PAUSE_S", 0.01)
    return Rounds()


@pytest.fixture
def duty(rounds: Rounds) -> Iterator[Duty]:
    made = Duty("sealing", rounds, every_s=0.01)
    yield made
    made.stop()


AWAY = Unavailable("the database does not answer", where="test", why="It is asleep.", next="wait")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (AWAY, "sealing: the database does not answer"),
        (KeyError("secret"), "sealing: Trimtab made a mistake: KeyError; see trimtab logs"),
        (SystemExit(3), "sealing: Trimtab made a mistake: SystemExit; see trimtab logs"),
    ],
)
def test_what_ends_a_round_is_told_until_one_goes_well(
    rounds: Rounds, duty: Duty, failure: BaseException, told: str
) -> None:
    duty.start()
    wait_until(lambda: rounds.done, "it is done")
    assert duty.trouble == ""
    rounds.failures = [failure]
    wait_until(lambda: duty.trouble, "it fails")
    assert duty.trouble == told
    before = rounds.done
    rounds.failures = []
    wait_until(lambda: rounds.done > before, "it is done again")
    wait_until(lambda: not duty.trouble, "the trouble is over")


def test_a_thread_that_is_ended_from_outside_goes_on(rounds: Rounds) -> None:
    entered, ended = threading.Event(), threading.Event()

    def work() -> None:
        rounds.done += 1
        entered.set()
        while not ended.is_set():  # in Python code, where the exception can arrive
            pass

    before = set(threading.enumerate())  # a server of another test may have left a round that did not end in time
    duty = Duty("watching", work)
    duty.start()
    assert entered.wait(PATIENCE_S)
    (thread,) = [one for one in threading.enumerate() if one.name == "trimtab-watching" and one not in before]
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    wait_until(lambda: rounds.done > 1, "it is done again")
    assert "SystemExit" in duty.trouble
    ended.set()
    wait_until(lambda: not duty.trouble, "the trouble is over")
    duty.stop()
    assert not thread.is_alive()


def test_the_pause_after_failures_grows_and_stopping_does_not_wait_for_it(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    duty = Duty("watching", rounds, every_s=9.0)

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 9:
            rounds.failures = []
        if len(pauses) == 10:
            duty._stopping.set()
        return False

    rounds.failures = [AWAY]
    monkeypatch.setattr("trimtab.kernel.duty.FIRST_PAUSE_S", 1.0)
    monkeypatch.setattr(duty._stopping, "wait", wait)
    duty._go_on()
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 9.0]


def test_a_round_that_does_not_end_does_not_keep_the_server_from_stopping() -> None:
    leave = threading.Event()
    duty = Duty("watching", lambda: leave.wait(PATIENCE_S))
    duty.start()
    duty.stop(wait_s=0.01)
    assert not duty.is_on
    leave.set()
