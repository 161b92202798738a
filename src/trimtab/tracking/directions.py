"""Which direction of a metric is better: only what the runs themselves say, never a guess from its name."""

from collections.abc import Sequence
from typing import Literal

from trimtab.tracking.records import Run

BETTER = "better."
"""A tag ``better.loss`` of a run says which direction of its metric ``loss`` is better: ``lower`` or ``higher``."""
Direction = Literal["lower", "higher"]


def declared_direction(runs: Sequence[Run], key: str) -> Direction | None:
    """Return which direction of a metric is better, as the runs that logged it say; None if none does, or they differ.

    ``run.define_metric("loss", better="lower")`` says it.
    """
    said = {run.tags.get(BETTER + key) for run in runs if key in run.metrics} - {None}
    if said == {"lower"}:
        return "lower"
    return "higher" if said == {"higher"} else None
