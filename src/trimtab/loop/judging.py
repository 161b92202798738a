"""Load models to judge them: a candidate by what its training left, the champion by its release."""

from typing import Any

import msgspec
import pyarrow as pa

from trimtab.declare import FeatureViewSpec, ModelSpec
from trimtab.evaluation import find_evaluation
from trimtab.kernel import Invalid, NotFound, Refused
from trimtab.registry import Version
from trimtab.serving import (
    Loader,
    NotServable,
    OnTrial,
    RegisteredReleases,
    Released,
    Rows,
    Runtime,
    check_servable,
    inputs_of,
)
from trimtab.store import Store
from trimtab.tracking import ALLOWED_TYPES, LoggedModel, Signature, environment_digest

CANDIDATE = 0
"""Number under which a model is judged that has no version yet; the router knows no such version."""


def load_candidate(store: Store, logged: LoggedModel, *, view: FeatureViewSpec) -> Runtime:
    """Return a candidate ready to predict, on the path that would serve it."""
    released = Released(
        model=logged.name, version=CANDIDATE, release="", format=logged.format, digest=logged.digest,
        inputs=inputs_of(logged.signature), classes=logged.signature.classes,
        task=logged.signature.task if logged.signature.task != "other" else None, sample=logged.sample, view=view,
    )  # fmt: skip
    return Loader(store, OnTrial(released), allowed=ALLOWED_TYPES).load(logged.name, CANDIDATE).runtime


def check_version(store: Store, version: Version) -> None:
    """Load a version, released or not, and let it answer its stored sample, as a gateway will.

    It is taken at its judgement's word, which had it loaded in the same way, where Python and packages are those of its
    training. Raises ``Refused`` with the reason when it cannot be served.
    """
    try:
        signature = msgspec.json.decode(store.blobs.get(version.artifacts.signature), type=Signature)
    except msgspec.DecodeError as error:
        raise NotServable(
            f"{version.ref} cannot be served", where=f"version {version.ref}", version=version.ref,
            why=f"Its signature cannot be read ({error}).", next="register it again, with the signature that it has",
        ) from None  # fmt: skip
    if _was_loaded(store, version):
        return
    released = Released(
        model=version.model, version=version.number, release="", format=version.artifacts.format,
        digest=version.artifacts.model, inputs=inputs_of(signature), classes=signature.classes, task=version.task,
        sample=version.artifacts.sample,
    )  # fmt: skip
    check_servable(Loader(store, OnTrial(released), allowed=ALLOWED_TYPES), version.model, version.number)


def _was_loaded(store: Store, version: Version) -> bool:
    """Say whether a version was judged by the bytes that lie there, and was made where all is as here."""
    if version.evaluation_id is None or version.lineage.environment != environment_digest():
        return False
    with store.read() as connection:
        record = find_evaluation(connection, id=version.evaluation_id)
    if record is None or record.model_digest != version.artifacts.model:
        return False
    try:
        for digest in filter(None, (version.artifacts.model, version.artifacts.sample)):
            store.blobs.check(digest)
    except (NotFound, Invalid):
        return False  # loading it says what is wrong
    return True


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
