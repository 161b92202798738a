"""At what age a label is final: as declared, as a column says, or as measured on the rows of a training frame."""

from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.declare import Label, ModelSpec, duration_text
from trimtab.evaluation import Maturity, Task, curves_of, inverse_weights, known_share, measured_maturity
from trimtab.features import label_frame
from trimtab.loop.frames import as_float

SHARE = 0.99
"""A column says of each row when it is final; the age that stands for all is the one that this share does not pass."""
LEAST_KNOWN = 0.05
"""Ages at which an outcome is known less often than this are not learnt from: a row would stand for over 20."""

Floats = NDArray[np.float64]


def label_lines(model: ModelSpec, rows: pa.Table, *, now: datetime) -> tuple[str, ...]:
    """Say when labels are final, and what to write where that was not declared, or declared too soon.

    ``rows`` are those of the view's own contract. Says nothing where outcomes become known at much the same age.
    """
    frame = label_frame(model.view, rows, model.label, known_by=now)
    known = frame.filter(pc.is_valid(frame["label"]))
    if not known.num_rows:
        return ()
    found = maturity_of(frame, known, model.label, at=pc.max(known["label_known_at"]).as_py())
    write = f'matures="{duration_text(found.slowest_s)}"'
    lines = []
    if found.after_s:
        lines.append(f"a label is final {_how(found, model)}; younger rows are neither learnt from nor judged")
    if found.is_too_soon or (found.by == "measured" and found.after_s):
        each = ", ".join(
            f"{one.outcome} after {length(one.median_s)} (99 % after {length(one.p99_s)})" for one in found.outcomes
        )
        what = "was not declared; it was measured" if found.by == "measured" else "is too soon"
        lines.append(f"warning: when labels are final {what}: {each}. Write {write}")
    return tuple(lines)


def length(seconds: float) -> str:
    """Write a length of time for people: ``3.2 d``, ``5.0 h``, ``40 min``."""
    for unit, size in (("d", 86400.0), ("h", 3600.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min"


def _how(found: Maturity, model: ModelSpec) -> str:
    age = f"{duration_text(round(found.after_s))} after the decision"
    match found.by:
        case "declared":
            return age
        case "column":
            return f"at {model.label.matures_at}, of 99 % within {length(found.after_s)}"
        case _:
            return f"{age}, as measured"


def maturity_of(frame: pa.Table, known: pa.Table, label: Label, *, at: datetime) -> Maturity:
    """Return at what age labels are final, and how late each outcome became known.

    ``known`` are the rows of a training frame whose outcome is known at ``at``. A declared age is taken as it is; of a
    declared column (``label_final_at``) the age that 99 % of the rows do not pass; otherwise it is measured.
    """
    measured = measured_maturity(label.task, as_float(known["label"].combine_chunks()), *_times(known, at))
    if label.matures_s:
        return msgspec.structs.replace(measured, after_s=label.matures_s, by="declared")
    if label.matures_at:
        return msgspec.structs.replace(measured, after_s=_age_of(frame, at), by="column")
    return measured


def final_by(rows: pa.Table, at: datetime) -> pa.Array:
    """Say which rows are final at ``at`` by the column that tells it; all of them where none was declared."""
    if "label_final_at" not in rows.column_names:
        return pa.array(np.ones(rows.num_rows, np.bool_))
    final = pc.less_equal(rows["label_final_at"], pa.scalar(at, rows["label_final_at"].type))
    return pc.fill_null(final, False).combine_chunks()


def weighted(known: pa.Table, task: Task, maturity: Maturity, *, at: datetime) -> Floats:
    """Return what each known row weighs at ``at``: 1 when it is final, else the inverse of how often it is known.

    0 for those that were so young when the newest outcome became known that one outcome is hardly ever known by then.
    ``known`` are the rows whose outcome is known at ``at``. Assumes that the delay depends on the outcome alone.
    """
    y, (delay_s, age_s) = as_float(known["label"].combine_chunks()), _times(known, at)
    newest = pc.max(known["label_known_at"]).as_py()
    told_s = age_s - (at - newest).total_seconds()
    curves = curves_of(task, y, delay_s, age_s)
    weights, told = (inverse_weights(task, y, ages_s, curves, least=LEAST_KNOWN) for ages_s in (age_s, told_s))
    final = (told_s >= maturity.after_s) & np.asarray(final_by(known, newest))
    return np.where(final, 1.0, np.where(told > 0, weights, 0.0))


def _age_of(frame: pa.Table, at: datetime) -> float:
    """Return the age at which 99 % of the rows are final."""
    decided, final = _seconds(frame["decided_at"]), _seconds(frame["label_final_at"])
    told = np.isfinite(decided) & np.isfinite(final)
    if not told.any():
        return 0.0
    now, ages = at.timestamp(), final[told] - decided[told]
    if (final[told] > now).any():  # the column tells it beforehand, also of rows that are young
        age = float(np.quantile(ages, SHARE, method="higher"))
    else:
        age = known_share(ages, now - decided[told]).age_of(SHARE)
    return max(0.0, age)


def _times(known: pa.Table, at: datetime) -> tuple[Floats, Floats]:
    """Return how long each row took to become known, and how old it is at ``at``, in seconds."""
    decided = _seconds(known["decided_at"])
    return _seconds(known["label_known_at"]) - decided, at.timestamp() - decided


def _seconds(times: pa.ChunkedArray) -> Floats:
    """Return times as seconds since 1970, NaN for a missing one."""
    micros = pc.cast(times.combine_chunks().cast(pa.int64()), pa.float64(), safe=False)
    return np.asarray(pc.fill_null(micros, float("nan")), np.float64) / 1e6
