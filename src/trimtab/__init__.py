"""Trimtab: the whole life of a model as one system. These are the words that a user types; ``import trimtab as tt``.

Declarations are here at once and need no other package; verbs that touch data, stores or servers load with first use.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from trimtab.declare import (
    Answers,
    Bool,
    Category,
    Contract,
    EventTime,
    Float,
    Int,
    Key,
    Text,
    Time,
    UnknownWord,
    accuracy,
    all_of,
    any_of,
    at_approval,
    auc,
    between,
    bind,
    brier,
    by,
    calibration_error,
    canary,
    champion,
    closest,
    column,
    days,
    drift,
    equalised_odds,
    errors,
    every,
    f1,
    false_positive_rate,
    features,
    full,
    here,
    hours,
    known_at,
    latency,
    log_loss,
    mae,
    minutes,
    missing,
    model,
    new_rows,
    one_of,
    pinball,
    pr_auc,
    precision,
    r2,
    recall,
    rmse,
    selection_rate,
    shadow,
    source,
    true_positive_rate,
)  # fmt: skip
from trimtab.kernel import TrimtabError

if TYPE_CHECKING:
    from trimtab.connection import connect as connect
    from trimtab.notebook import why as why
    from trimtab.tracking import run as run

__version__ = "0.1.0"

_LAZY = {
    "connect": "trimtab.connection",
    "run": "trimtab.tracking",
    "why": "trimtab.notebook",
}
"""Verbs that load with first use: the word, and the module that names it."""

bind(lambda: cast("Answers", import_module("trimtab.notebook")))

__all__ = [
    "Bool",
    "Category",
    "Contract",
    "EventTime",
    "Float",
    "Int",
    "Key",
    "Text",
    "Time",
    "TrimtabError",
    "accuracy",
    "all_of",
    "any_of",
    "at_approval",
    "auc",
    "between",
    "brier",
    "by",
    "calibration_error",
    "canary",
    "champion",
    "column",
    "connect",
    "days",
    "drift",
    "equalised_odds",
    "errors",
    "every",
    "f1",
    "false_positive_rate",
    "features",
    "full",
    "hours",
    "known_at",
    "latency",
    "log_loss",
    "mae",
    "minutes",
    "missing",
    "model",
    "new_rows",
    "one_of",
    "pinball",
    "pr_auc",
    "precision",
    "r2",
    "recall",
    "rmse",
    "run",
    "selection_rate",
    "shadow",
    "source",
    "true_positive_rate",
    "why",
]  # fmt: skip


class _Words(ModuleType):
    """This module, which keeps its words: importing the room ``trimtab.features`` must not hide ``tt.features``."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Words

if not TYPE_CHECKING:  # A type checker reports unknown words by itself.

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            return getattr(import_module(_LAZY[name]), name)
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnknownWord(
            f"Trimtab has no word {name!r}",
            where=here(),
            why="Everything that can be typed after 'tt.' is listed in the reference.",
            next=closest(name, __all__).replace("write ", "write tt.") or "see dir(tt)",
        )


def __dir__() -> list[str]:
    return sorted(__all__)
