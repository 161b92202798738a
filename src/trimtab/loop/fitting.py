"""Call a train function behind the walls, and hold what it returns to what can be kept, judged and served."""

import sys
import traceback
from typing import Any

import msgspec

from trimtab.declare import ModelSpec, Project
from trimtab.kernel import Invalid
from trimtab.pipelines import GuestAnswer, GuestContext
from trimtab.tracking import LoggedModel, NotPackable, PackedModel, RunRecorder, model_params, pack_model


class TrainingFailed(Invalid):
    """The user's train function raised."""

    code = "loop.training-failed"
    default_why = "A train function takes the rows and their outcomes, and returns a trained model."
    default_next = "correct the line; the whole traceback: {log}"


class NotAModel(Invalid):
    """What a train function returned cannot be kept, judged or served."""

    code = "loop.not-a-model"


def fit(project: Project, model: ModelSpec, rows: Any, outcomes: Any, *, weights: Any = None, log: str) -> Any:
    """Return what the model's train function makes of rows, outcomes and, where the model asks for them, weights.

    ``log`` is the command that shows its output. Raises ``TrainingFailed`` when it raises, and ``NotAModel`` when it
    returns nothing.
    """
    function = project.namespace[model.function]
    try:
        with project.importable():
            given = (rows, outcomes) if weights is None else (rows, outcomes, weights)
            fitted = function(*given, **model.params)
    except (Exception, SystemExit) as error:  # the edge to the user's code
        traceback.print_exception(error, file=sys.stderr)  # into the step's log
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise TrainingFailed(
            f"model {model.name} raised {type(error).__name__}" + (f": {said}" if said else ""),
            where=project.line_of(error) or _place(model),
            model=model.name,
            log=log,
        ) from error
    if fitted is None:
        raise NotAModel(
            f"the train function of {model.name} returned nothing",
            where=_place(model),
            why="What it returns is the model that is judged and served.",
            next=f"end {model.function} with: return <the trained model>",
        )
    return fitted


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a model cannot be kept: what happened, why, and what to do next."""

    what: str
    why: str
    next: str


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a train function: its model without its bytes, or why it cannot be kept, and how it was made.

    The bytes are the parts ``model`` and ``sample`` of the answer. ``params`` are the model's own.
    """

    seconds: float
    params: dict[str, str]
    packed: PackedModel | None = None
    problem: Problem | None = None


def pack(context: GuestContext, fitted: Any, rows: Any, *, seconds: float) -> Trained:
    """Pack a trained model into the answer."""
    trained = Trained(seconds=seconds, params=model_params(fitted))
    try:
        packed = pack_model(fitted, rows)
    except NotPackable as error:
        todo = str(error.data.get("returned", error.next))
        problem = Problem(what=error.what, why=error.why, next=todo)
        return msgspec.structs.replace(trained, problem=problem)
    context.put_bytes("model", packed.data)
    context.put_bytes("sample", packed.sample)
    return msgspec.structs.replace(trained, packed=msgspec.structs.replace(packed, data=b"", sample=b""))


def keep(run: RunRecorder, model: ModelSpec, answer: GuestAnswer) -> LoggedModel:
    """Keep a trained model with its run. Raises ``NotAModel`` for one that this model's label cannot be judged by."""
    trained = answer.read(Trained)
    # First, so that a run whose model cannot be kept still says how it was made.
    run.log_model_params(trained.params)
    if trained.packed is None:
        problem = trained.problem or Problem(what="nothing came of it", why="It was not packed.", next="train it again")
        raise NotAModel(
            f"what {model.name} returned cannot be kept: {problem.what}", where=_place(model), why=problem.why,
            next=problem.next,
        )  # fmt: skip
    packed = msgspec.structs.replace(trained.packed, data=answer.bytes("model"), sample=answer.bytes("sample"))
    logged = run.log_packed(packed)
    needed = "probability" if model.label.task == "classification" else "prediction"
    if not any(output.name == needed and output.size is None for output in logged.signature.outputs):
        gives = ", ".join(output.name for output in logged.signature.outputs)
        raise NotAModel(
            f"what {model.name} returned gives no {needed}, only {gives}"
            if gives != needed
            else f"what {model.name} returned gives more than one {needed} for a row",
            where=_place(model),
            why=f"The label {model.label.name} makes it a {model.label.task}, judged by one {needed} for each row.",
            next="return a classifier with predict_proba, trained on the given outcomes"
            if needed == "probability"
            else "return a regressor, trained on the given outcomes",
        )
    return logged


def _place(model: ModelSpec) -> str:
    return f"{model.where} model {model.name}".strip()
