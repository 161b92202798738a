"""Split a training frame in time: learn from what was final before the test span, test on what came after."""

from datetime import datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.declare import ModelSpec, duration_text
from trimtab.evaluation import Maturity
from trimtab.kernel import Invalid
from trimtab.loop.maturity import final_by, maturity_of, weighted

WEIGHT = "label_weight"
"""Column of the rows to learn from, where young ones are among them: what each weighs."""


class Split(msgspec.Struct, frozen=True):
    """Rows to learn from, rows to be judged on, and the moments between them.

    ``test_until`` is when the newest outcome was known. Every decision of the test span up to ``mature_through`` had
    time to become final by then, and later ones are not in it.
    """

    train: pa.Table
    test: pa.Table
    test_from: datetime
    test_until: datetime
    maturity: Maturity
    mature_through: datetime


def split_in_time(frame: pa.Table, model: ModelSpec, *, as_of: datetime) -> Split:
    """Split by the moment of decision; never at random.

    The test span ends at the newest decision whose label is final, and reaches back by the declared time; where labels
    are final as soon as they are known, at the newest outcome known at ``as_of``. A row is learnt from when its
    decision lies before the test span *and* its outcome was known and final by then, as it would have been for a model
    trained on that day: by the newest outcome of then. With ``immature="weight"`` known outcomes that were not final by
    then are learnt from too, by their weight. Rows without a known outcome are in neither part. ``frame`` has the
    columns of ``training_frame`` with a label. Raises ``Invalid`` when a part is empty or holds one class only.
    """
    known = frame.filter(pc.is_valid(frame["label"]))
    known = known.filter(pc.less_equal(known["label_known_at"], pa.scalar(as_of, known["label_known_at"].type)))
    newest = pc.max(known["label_known_at"]).as_py() if known.num_rows else None
    if newest is None:
        raise _too_little(model, "no outcome is known yet")
    maturity = maturity_of(frame, known, model.label, at=newest)
    through = newest - timedelta(seconds=maturity.after_s)
    start = through - timedelta(seconds=model.test.seconds or 0)
    split = Split(
        train=_learnt(known, model, maturity, start),
        test=known.filter(pc.and_(_between(known, start, through), final_by(known, newest))),
        test_from=start, test_until=newest, maturity=maturity, mature_through=through,
    )  # fmt: skip
    for name, part in (("train", split.train), ("test", split.test)):
        if part.num_rows == 0:
            raise _too_little(model, f"the {name} span holds no row with a {_outcome(maturity)}")
        if model.label.task == "classification" and pc.count_distinct(part["label"]).as_py() < 2:
            raise _too_little(model, f"every outcome in the {name} span is the same")
    return split


def _learnt(known: pa.Table, model: ModelSpec, maturity: Maturity, start: datetime) -> pa.Table:
    """Return what a model trained at ``start`` would have been given.

    A source may stand still: what had the time to become final is counted from the newest outcome that it had told.
    """
    then = known.filter(pc.less_equal(known["label_known_at"], pa.scalar(start, known["label_known_at"].type)))
    if not then.num_rows:
        return then
    newest = pc.max(then["label_known_at"]).as_py()
    oldest = None if model.train.seconds is None else start - timedelta(seconds=model.train.seconds)
    if not model.immature:
        then = then.filter(final_by(then, newest))
        return then.filter(_between(then, oldest, newest - timedelta(seconds=maturity.after_s), before=start))
    weights = weighted(then, model.label.task, maturity, at=start)
    then = then.append_column(WEIGHT, pa.array(weights)).filter(pa.array(weights > 0))
    return then.filter(_between(then, oldest, start, before=start))


def _between(
    rows: pa.Table, since: datetime | None, until: datetime, *, before: datetime | None = None
) -> pa.ChunkedArray:
    """Say which rows were decided from ``since`` to ``until``, both included, and before ``before``."""
    decided = rows["decided_at"]
    found = pc.less_equal(decided, pa.scalar(until, decided.type))
    if since is not None:
        found = pc.and_(found, pc.greater_equal(decided, pa.scalar(since, decided.type)))
    if before is not None:
        found = pc.and_(found, pc.less(decided, pa.scalar(before, decided.type)))
    return found


def _outcome(maturity: Maturity) -> str:
    if not maturity.after_s:
        return "known outcome"
    return f"known outcome that is final, {duration_text(maturity.after_s)} after the decision"


def _too_little(model: ModelSpec, what: str) -> Invalid:
    return Invalid(
        f"model {model.name} cannot be trained: {what}",
        where=model.where or f"model {model.name}",
        why=f"It learns from {model.train.text or 'everything known'} and is tested on the {model.test.text}.",
        next="choose another test span, or wait for outcomes: trimtab get sources shows what there is",
    )
