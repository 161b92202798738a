"""What is declared while a project's file is being loaded, in the order of its declaration."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_declared: ContextVar[list[object] | None] = ContextVar("trimtab_declared", default=None)


def note(declared: object) -> None:
    """Note a declared object; outside of a load there is nobody to tell."""
    collecting = _declared.get()
    if collecting is not None:
        collecting.append(declared)


@contextmanager
def collecting() -> Iterator[list[object]]:
    """Yield the list of what is declared inside the block."""
    found: list[object] = []
    token = _declared.set(found)
    try:
        yield found
    finally:
        _declared.reset(token)
