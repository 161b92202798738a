"""Make the reference that a version carries: what its inputs and its predictions looked like when it was made."""

from datetime import timedelta
from typing import Any

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
    """Count the newest rows that the version was made on, learnt and held out, with its own predictions for them."""
    frame = pa.concat_tables(
        [context.frame(given["train"]), context.frame(given["test"])], promote_options="default"
    )  # the rows to learn from may have weights
    newest = pc.max(frame["decided_at"]).as_py()
    frame = frame.filter(pc.greater(frame["decided_at"], pa.scalar(newest - SPAN, frame["decided_at"].type)))
    runtime = load_candidate(context.store, logged, view=model.view)
    kinds = {column.name: column.kind for column in compile_view(model.view).columns}
    columns = frame.select(list(kinds))
    return build_reference(
        columns, kinds=kinds, prediction=prediction_of(runtime, frame), at=frame["decided_at"],
        influence=permuted_influence(
            lambda rows: prediction_of(runtime, rows), columns, columns=list(kinds), seed=model.seed
        ),
    )  # fmt: skip
