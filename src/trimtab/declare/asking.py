"""What a declared object can be asked once a project has a store. The answers come from above, through ``bind``.

The language does no I/O and knows no room, so it only says which questions there are. Whoever composes the program
binds something that answers them; ``import trimtab`` binds the store of the folder it is used in.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from trimtab.declare.records import FeatureViewSpec, Label

if TYPE_CHECKING:
    import pandas as pd

Moment = date | str
"""A moment as a person gives it: an aware ``datetime``, a day, or ISO 8601 text (without an offset: UTC)."""


class Answers(Protocol):
    """Answers the questions that declared objects pass on."""

    def training(
        self,
        view: FeatureViewSpec,
        *,
        label: Label | None,
        since: Moment | None,
        until: Moment | None,
        known_by: Moment | None,
    ) -> "pd.DataFrame": ...

    def online(self, view: FeatureViewSpec, keys: Mapping[str, Any]) -> "pd.DataFrame": ...

    def versions(self, model: str) -> Mapping[int | str, Any]: ...

    def rollback(self, model: str, *, because: str) -> Any: ...


_find: Callable[[], Answers] | None = None


def bind(find: Callable[[], Answers]) -> None:
    """Let ``find()`` say who answers. It is called with each question, so that nothing heavy loads before the first."""
    global _find  # noqa: PLW0603  # one program has one composition
    _find = find


def answers() -> Answers:
    """Return who answers."""
    assert _find is not None, "the package binds who answers"
    return _find()
