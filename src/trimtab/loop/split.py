"""Split a training frame in time: learn from what was known before the test span, test on what came after."""

from datetime import datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.declare import ModelSpec
from trimtab.kernel import Invalid


class Split(msgspec.Struct, frozen=True):
    """Rows to learn from, rows to be judged on, and the moments between them."""

    train: pa.Table
    test: pa.Table
    test_from: datetime
    test_until: datetime


def split_in_time(frame: pa.Table, model: ModelSpec, *, as_of: datetime) -> Split:
    """Split by the moment of decision; never at random.

    The test span ends at the newest outcome known at ``as_of`` and reaches back by the declared time. A row is
    learnt from when its decision lies before the test span *and* its outcome was known by then, as it would have
    been for a model trained on that day. Rows without a known outcome are in neither part.
    Raises ``Invalid`` when a part is empty or holds one class only.
    """
    known = frame.filter(pc.is_valid(frame["label"]))
    known = known.filter(pc.less_equal(known["label_known_at"], pa.scalar(as_of, known["label_known_at"].type)))
    newest = pc.max(known["label_known_at"]).as_py() if known.num_rows else None
    if newest is None:
        raise _too_little(model, "no outcome is known yet")
    start = newest - timedelta(seconds=model.test.seconds or 0)
    boundary = pa.scalar(start, known["decided_at"].type)
    before = pc.and_(pc.less(known["decided_at"], boundary), pc.less_equal(known["label_known_at"], boundary))
    if model.train.seconds is not None:
        oldest = pa.scalar(start - timedelta(seconds=model.train.seconds), known["decided_at"].type)
        before = pc.and_(before, pc.greater_equal(known["decided_at"], oldest))
    split = Split(known.filter(before), known.filter(pc.greater_equal(known["decided_at"], boundary)), start, newest)
    for name, part in (("train", split.train), ("test", split.test)):
        if part.num_rows == 0:
            raise _too_little(model, f"the {name} span holds no row with a known outcome")
        if model.label.task == "classification" and pc.count_distinct(part["label"]).as_py() < 2:
            raise _too_little(model, f"every outcome in the {name} span is the same")
    return split


def _too_little(model: ModelSpec, what: str) -> Invalid:
    return Invalid(
        f"model {model.name} cannot be trained: {what}",
        where=model.where or f"model {model.name}",
        why=f"It learns from {model.train.text or 'everything known'} and is tested on the {model.test.text}.",
        next="choose another test span, or wait for outcomes: trimtab get sources shows what there is",
    )
