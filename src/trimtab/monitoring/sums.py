"""Exact additive figures of a window: whatever the order of adding and taking away, the same rows give the same sums.

Floating point would remember the order in which outcomes arrived, and a corrected one would leave its trace. So each
term is rounded once, to a multiple of 2**-128, and summed as a whole number of any size.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.evaluation import Task, log_losses

_BITS = 128
LARGEST = 1e60
"""Outcomes and predictions beyond it are refused or left out: the spread of their squared errors would be no number."""
_LETTER: dict[Task, str] = {"classification": "c", "regression": "r"}
_TASK: dict[str, Task] = {letter: task for task, letter in _LETTER.items()}
_Floats = NDArray[np.float64]


class Sums(msgspec.Struct, frozen=True):
    """Sums over some decisions, in units of 2**-128.

    ``score`` is over all of them, the rest over those with an outcome. Classification: ``loss`` is log loss, ``other``
    the squared distance (Brier), ``extra`` counts right decisions at 0.5. Regression: ``loss`` is the squared error,
    ``other`` the absolute one, ``extra`` the squared outcome.
    """

    score: int = 0
    loss: int = 0
    loss2: int = 0
    other: int = 0
    other2: int = 0
    predicted: int = 0
    observed: int = 0
    extra: int = 0

    def __add__(self, more: "Sums") -> "Sums":
        return Sums(*(a + b for a, b in zip(_parts(self), _parts(more), strict=True)))

    def __sub__(self, less: "Sums") -> "Sums":
        return Sums(*(a - b for a, b in zip(_parts(self), _parts(less), strict=True)))

    def mean(self, name: str, n: int) -> float:
        """Return a sum over n."""
        return float_of(getattr(self, name)) / n


def _parts(sums: Sums) -> tuple[int, ...]:
    return msgspec.structs.astuple(sums)


def units(value: float) -> int:
    """Return a number in units of 2**-128."""
    return int(math.ldexp(value, _BITS))


def float_of(sum_: int) -> float:
    """Return a sum as a number, rounded once."""
    return sum_ / (1 << _BITS)


def of_scores(scores: Iterable[float | None]) -> Sums:
    """Return what some decisions add before anything is known of them."""
    return Sums(score=sum(units(score) for score in scores if score is not None))


def of_outcomes(task: Task, outcomes: Sequence[float], scores: Sequence[float]) -> list[Sums]:
    """Return what the outcome of each decision adds."""
    y, p = np.asarray(outcomes, np.float64), np.asarray(scores, np.float64)
    loss, other, extra = losses(task, y, p)
    terms = (loss, loss**2, other, other**2, p, y, extra)
    return [Sums(0, *(units(value) for value in row)) for row in zip(*(term.tolist() for term in terms), strict=True)]


def losses(task: Task, y: _Floats, p: _Floats) -> tuple[_Floats, _Floats, _Floats]:
    """Return each row's ``loss``, ``other`` and ``extra``, as ``Sums`` names them."""
    error = p - y
    if task == "classification":
        truth = y > 0.5
        return log_losses(truth, p), error**2, ((p >= 0.5) == truth).astype(np.float64)
    return error**2, np.abs(error), y**2


def text_of(task: Task, sums: Sums) -> str:
    """Write sums for a row of ``monitoring_hours``."""
    return " ".join((_LETTER[task], *(f"{part:x}" for part in _parts(sums))))


def read(text: str) -> tuple[Task, Sums]:
    """Read what ``text_of`` wrote."""
    letter, *parts = text.split(" ")
    return _TASK[letter], Sums(*(int(part, 16) for part in parts))


def total(texts: Iterable[str]) -> tuple[Task | None, Sums]:
    """Return the task and the sum of many; quick, since a week of hours is asked for every hour."""
    added = [0] * len(Sums.__struct_fields__)
    letter = ""
    for text in texts:
        letter, *parts = text.split(" ")
        for place, part in enumerate(parts):
            added[place] += int(part, 16)
    return _TASK.get(letter), Sums(*added)


def usable(score: Any) -> float | None:
    """Return a score that can be summed, None for anything else."""
    if isinstance(score, bool) or not isinstance(score, float | int):
        return None
    return float(score) if abs(score) <= LARGEST else None  # NaN compares false
