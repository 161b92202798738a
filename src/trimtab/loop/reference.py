"""Make the reference that a version carries: what its inputs and its predictions looked like when it was made."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.declare import ModelSpec
from trimtab.features import compile_view
from trimtab.loop.judging import load_candidate, prediction_of
from trimtab.monitoring import Reference, build_reference, permuted_influence
from trimtab.pipelines import StepContext
from trimtab.tracking import LoggedModel

SPAN = timedelta(days=60)
"""How far a reference reaches back from the end of the test span: what served data is expected to look like lately."""


def reference_of_candidate(
    context: StepContext, model: ModelSpec, given: dict[str, Any], logged: LoggedModel
) -> Reference:  # fmt: skip
    """Count the newest rows that the version was made on, and its predictions for those that it had not learnt from.

    Features lie as they lie, learnt or not, and more days tell more of how days differ. Predictions do not: a forest
    is far surer of the rows that it has learnt than of any that it will be asked about.
    """
    learnt, test = context.frame(given["train"]), context.frame(given["test"])
    frame = pa.concat_tables([learnt, test], promote_options="default")  # what was learnt may have weights
    held_out = pa.array(np.arange(frame.num_rows) >= learnt.num_rows)
    newest = pc.max(frame["decided_at"]).as_py()
    recent = pc.greater(frame["decided_at"], pa.scalar(newest - SPAN, frame["decided_at"].type))
    frame, held_out = frame.filter(recent), held_out.filter(recent.combine_chunks())
    test = frame.filter(held_out)
    runtime = load_candidate(context.store, logged, view=model.view)
    kinds = {column.name: column.kind for column in compile_view(model.view).columns}
    return build_reference(
        frame.select(list(kinds)), kinds=kinds, prediction=prediction_of(runtime, test), at=frame["decided_at"],
        held_out=held_out,
        influence=permuted_influence(
            lambda rows: prediction_of(runtime, rows), test.select(list(kinds)), columns=list(kinds), seed=model.seed
        ),
    )  # fmt: skip
