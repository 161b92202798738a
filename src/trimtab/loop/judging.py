"""Load models to judge them: a candidate by what its training left, the champion by its release."""

from typing import Any

import pyarrow as pa

from trimtab.declare import FeatureViewSpec, ModelSpec
from trimtab.kernel import NotFound, Refused
from trimtab.serving import Loader, RegisteredReleases, Released, Rows, Runtime, inputs_of
from trimtab.store import Store
from trimtab.tracking import ALLOWED_TYPES, LoggedModel

CANDIDATE = 0
"""Number under which a model is judged that has no version yet; the router knows no such version."""


class _OnTrial:
    """Lets the loader read one candidate's verified bytes, in the worker that judges it and nowhere else."""

    def __init__(self, released: Released) -> None:
        self._released = released

    def checked(self, model: str, version: int) -> Released:
        if (model, version) != (self._released.model, self._released.version):
            raise NotFound(
                f"{model}@{version} is not on trial",
                where="loop.judging",
                why="Only the candidate of this run is.",
                next="trimtab get versions",
            )
        return self._released


def load_candidate(store: Store, logged: LoggedModel, *, view: FeatureViewSpec) -> Runtime:
    """Return a candidate ready to predict, on the path that would serve it."""
    released = Released(
        model=logged.name, version=CANDIDATE, release="", format=logged.format, digest=logged.digest,
        inputs=inputs_of(logged.signature), classes=logged.signature.classes,
        task=logged.signature.task if logged.signature.task != "other" else None, sample=logged.sample, view=view,
    )  # fmt: skip
    return Loader(store, _OnTrial(released), allowed=ALLOWED_TYPES).load(logged.name, CANDIDATE).runtime


def champion_runtime(store: Store, model: ModelSpec, test: pa.Table) -> Runtime | None:
    """Return the champion, to be judged on the same rows; None when there is none, or it needs other columns."""
    releases = RegisteredReleases(store)
    try:
        released = releases.champion(model.name)
    except (NotFound, Refused):
        return None
    if not {column.name for column in released.inputs} <= set(test.column_names):
        return None
    return Loader(store, releases, allowed=ALLOWED_TYPES).load(released.model, released.version).runtime


def prediction_of(runtime: Runtime, frame: pa.Table) -> Any:
    """Return one number for each row: the probability of True, or the predicted value."""
    columns = [frame[column.name].to_pylist() for column in runtime.inputs]
    outputs = runtime.predict(Rows([list(row) for row in zip(*columns, strict=True)]))
    return outputs["probability"] if "probability" in outputs else outputs["prediction"]
