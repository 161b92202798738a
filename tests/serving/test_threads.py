"""Threads for calls that may never end."""

import threading

import pytest
from tests.waiting import PATIENCE_S, wait_until

from trimtab.serving.threads import Threads


def test_no_more_calls_run_at_once_than_the_limit_and_all_are_daemons() -> None:
    threads, let_go = Threads(2, "some"), threading.Event()
    running: list[threading.Thread] = []

    def call() -> None:
        running.append(threading.current_thread())
        let_go.wait(PATIENCE_S)

    calls = [threads.submit(call) for _ in range(5)]
    wait_until(lambda: len(running) == 2, "two run")
    assert all(thread.daemon for thread in running)
    assert not threads.submit(call).running()
    threads.lose()
    wait_until(lambda: len(running) == 3, "another takes the place of one that is lost")
    let_go.set()
    for one in calls:
        one.result(PATIENCE_S)
    assert len(set(running)) == 3


def test_threads_that_are_idle_end_and_others_start_when_there_is_work_again() -> None:
    threads = Threads(2, "some")
    first = threads.submit(threading.current_thread).result(PATIENCE_S)
    threads.close(within_s=PATIENCE_S)
    assert not first.is_alive()
    second = threads.submit(threading.current_thread).result(PATIENCE_S)
    assert second is not first
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(PATIENCE_S)
    threads.close(within_s=PATIENCE_S)


def test_one_that_is_in_a_call_when_all_are_closed_ends_when_it_comes_back() -> None:
    threads, let_go = Threads(3, "some"), threading.Event()
    running = threads.submit(lambda: (let_go.wait(PATIENCE_S), threading.current_thread())[1])
    idle = {threads.submit(threading.current_thread).result(PATIENCE_S) for _ in range(5)}
    threads.close(within_s=0.0)
    let_go.set()
    wait_until(lambda: not any(one.is_alive() for one in {*idle, running.result(PATIENCE_S)}), "all have ended")


def test_one_that_comes_back_when_its_place_was_given_away_ends() -> None:
    threads, let_go = Threads(1, "some"), threading.Event()
    lost = threads.submit(lambda: (let_go.wait(PATIENCE_S), threading.current_thread())[1])
    threads.lose()
    other = threads.submit(threading.current_thread).result(PATIENCE_S)
    let_go.set()
    threads.regain()
    alive = {lost.result(PATIENCE_S), other}
    threads.submit(int).result(PATIENCE_S)
    wait_until(lambda: sum(one.is_alive() for one in alive) <= 1, "only one is left")
    assert threads.submit(lambda: 3).result(PATIENCE_S) == 3
    threads.close(within_s=PATIENCE_S)
