"""The threads that models run on, and a bound on those of the numeric libraries: requests share the cores already."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import Any

IDLE_S = 300.0


def limit_threads() -> None:
    """Let the OpenMP code that this thread calls (scikit-learn's trees) run on this thread alone, from now on."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return  # no scikit-learn, so no OpenMP either
    threadpool_limits(1, user_api="openmp")


@contextmanager
def limited_threads() -> Iterator[None]:
    """Do so within a block."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(1, user_api="openmp"):
        yield


_Task = tuple[Future[Any], Callable[[], Any]]
MakeThreads = Callable[[int, str], "Threads"]
"""Make so many threads of a name."""


class Threads(Executor):
    """At most ``limit`` threads for calls that may never end: none of them keeps the process from ending.

    A call that does not come back can be given up with ``lose``: another thread takes its place until ``regain``.
    Threads start when there is work, and end after ``IDLE_S`` seconds without.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._alive: set[Thread] = set()
        self._lock = Lock()
        self._threads = 0
        self._idle = 0
        self._is_closed = False
        self._numbers = count()

    def submit(self, call: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Run a call as soon as a thread is free."""
        future: Future[Any] = Future()
        with self._lock:
            self._is_closed = False
            self._tasks.put((future, partial(call, *given, **named)))
            self._start_one()
        return future

    def lose(self) -> None:
        """Let another thread take the place of one that does not come back from its call."""
        with self._lock:
            self._limit += 1
            self._start_one()

    def regain(self) -> None:
        """Say that a call which ``lose`` had given up came back after all."""
        with self._lock:
            self._limit -= 1

    def close(self, *, within_s: float) -> None:
        """End each thread that is in no call, or comes back from one; wait, so that the process can end in order.

        What is submitted afterwards starts others.
        """
        with self._lock:
            self._is_closed = True
            if self._idle:
                self._tasks.put(None)
        for thread in list(self._alive):
            thread.join(within_s)

    def _start_one(self) -> None:
        if self._threads < self._limit and self._tasks.qsize() > self._idle:
            self._threads += 1
            thread = Thread(target=self._work, name=f"{self._name}_{next(self._numbers)}", daemon=True)
            self._alive.add(thread)
            thread.start()

    def _work(self) -> None:
        limit_threads()
        while (task := self._next()) is not None:
            _run(*task)
            del task  # an idle thread must not keep what its last call has held
        self._alive.discard(current_thread())

    def _next(self) -> _Task | None:
        """Return the next call; None when this thread is one too many, all are to end, or it was idle for long."""
        with self._lock:
            if self._threads > self._limit or (self._is_closed and self._tasks.empty()):
                self._threads -= 1
                return None
            self._idle += 1
        try:
            found = self._tasks.get(timeout=IDLE_S)
        except Empty:
            found = None
        with self._lock:
            self._idle -= 1
            if found is None:
                self._threads -= 1
                if self._is_closed and self._idle:
                    self._tasks.put(None)  # each that ends lets the next one end
            self._start_one()  # for what came meanwhile, while this thread still counted as idle
        return found


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  # whoever waits for the call hears of it
        future.set_exception(error)
    else:
        future.set_result(result)
