"""Bound the threads of the numeric libraries: many requests share the cores already."""

from collections.abc import Iterator
from contextlib import contextmanager


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
