"""Learn, judge and enter a model: the steps that make a version, as worker processes run them."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from trimtab.data import parquet_in
from trimtab.declare import Metric, ModelSpec
from trimtab.evaluation import Evaluation, Maturity, evaluate, get_evaluation, judge, rows_digest, save_evaluation
from trimtab.evaluation import compare as compare_on_rows
from trimtab.features import compile_view, digest_of_view
from trimtab.kernel import Conflict, VirtualClock, canonical
from trimtab.loop.conditions import metrics_of, rules_of
from trimtab.loop.declarations import specs_in_force
from trimtab.loop.fitting import Trained, keep
from trimtab.loop.frames import label_of
from trimtab.loop.governed import policy_of
from trimtab.loop.judging import champion_runtime, load_candidate, prediction_of
from trimtab.loop.own_code import TRAIN, UNCHANGED, import_before_guests
from trimtab.loop.records import Outcome
from trimtab.loop.reference import reference_of_candidate
from trimtab.loop.turns import again_if_taken, enter_turn
from trimtab.monitoring import keep_reference
from trimtab.pipelines import StepContext
from trimtab.registry import CHALLENGER, Lineage, ModelArtifacts, Version, register_version, set_alias
from trimtab.serving import measure_latency
from trimtab.store import Change
from trimtab.tracking import (
    Batch,
    FinishRun,
    LoggedModel,
    MetricPoint,
    close_run,
    find_lost,
    log_batch,
    resume_run,
    start_run,
    this_process,
)  # fmt: skip

__all__ = ["evaluate_candidate", "import_before_guests", "register", "train"]


class PolicyChanged(Conflict):
    """Another policy came into force for a governed model while a version of it was trained."""

    code = "loop.policy-changed"
    default_why = "A version of a governed model is judged, and later approved, under the policy that is in force."
    default_next = "trimtab plan, then trimtab apply: what was trained is taken from the cache"


def train(context: StepContext) -> dict[str, Any]:
    """Call the user's train function and keep the model that it returns."""
    model = msgspec.convert(context.params["model"], ModelSpec)
    file, given = Path(context.params["file"]), context.inputs[f"features-{model.name}"]
    about = {
        "model": context.params["model"], "file": str(file), "log": f"trimtab logs {context.run_id} {context.step}",
    }  # fmt: skip
    context.call_guest(UNCHANGED, project=file, params=about)
    find_lost(context.store)  # such as the run of an attempt before this one, whose worker was killed
    with start_run(
        context.store, experiment=model.name, name=f"{model.name} to {given['test_from'][:10]}", actor=context.actor,
        params=model.params, tags={"pipeline_run": context.run_id}, kind="pipeline", because=context.because,
        folder=file.parent,
    ) as run:  # fmt: skip
        run.log_dataset(given["train"], role="train", rows=given["train_rows"])
        answer = context.call_guest(TRAIN, project=file, params=about, frames={"train": given["train"]})
        trained = answer.read(Trained)
        # In a replay, which nothing must make differ, training takes no time.
        seconds = 0.0 if isinstance(context.stopwatch, VirtualClock) else trained.seconds
        run.log_metrics({"train_rows": float(given["train_rows"])} | ({"train_seconds": seconds} if seconds else {}))
        logged = keep(run, model, answer)
        environment = run.keep_environment()  # a version names all that it was made from
    context.log(f"trained on {given['train_rows']} rows" + (f" in {seconds:.1f} s" if seconds else ""))
    return {
        "run": run.id,
        "environment": environment.digest,
        "model": msgspec.to_builtins(logged),
        "seconds": seconds,
    }


def evaluate_candidate(context: StepContext) -> dict[str, Any]:
    """Judge the model on the rows after its training, by the bytes and the path that would serve it."""
    model = msgspec.convert(context.params["model"], ModelSpec)
    given, trained = context.inputs[f"features-{model.name}"], context.inputs[f"train-{model.name}"]
    logged = msgspec.convert(trained["model"], LoggedModel)
    test = context.frame(given["test"])
    truth = label_of(test, model.label.task)
    rows = rows_digest(truth, {name: test[name].to_numpy() for name in test.column_names if name.startswith("key_")})
    clock = context.store.clock
    runtime = load_candidate(context.store, logged, view=model.view)
    maturity = msgspec.convert(given["maturity"], Maturity)
    through = datetime.fromisoformat(given["mature_through"])
    slices, moments = _slices(test, model), test["decided_at"].to_numpy()

    def measured(prediction: Any) -> Evaluation:
        found = evaluate(
            task=model.label.task, y=truth, prediction=prediction, measured_at=clock.now(), slices=slices,
            moments=moments, seed=model.seed, quantile=model.quantile, rows=rows,
        )  # fmt: skip
        return msgspec.structs.replace(found, maturity=maturity, mature_through=through)

    predicted = prediction_of(runtime, test)
    candidate = measured(predicted)
    reigning = champion_runtime(context.store, model, test)
    theirs = prediction_of(reigning, test) if reigning is not None else None
    champion = measured(theirs) if theirs is not None else None
    comparison = None
    if theirs is not None:
        comparison = compare_on_rows(
            task=model.label.task, y=truth, champion=theirs, challenger=predicted, champion_rows=rows,
            challenger_rows=rows, moments=moments, seed=model.seed, quantile=model.quantile,
        )  # fmt: skip
    sample = parquet_in(context.get_bytes(logged.sample))
    latency = measure_latency(
        runtime, sample, inputs=runtime.inputs, measured_at=clock.now(), clock=context.stopwatch
    )  # fmt: skip
    their_latency = None
    if reigning is not None and any(_is_champions_latency(metric) for metric in metrics_of(model.accept)):
        their_latency = measure_latency(
            reigning, test, inputs=reigning.inputs, measured_at=clock.now(), clock=context.stopwatch
        )  # fmt: skip
    verdict = judge(
        model.accept, candidate=candidate, now=clock.now(), champion=champion, latency=latency,
        champion_latency=their_latency, comparison=comparison,
    )  # fmt: skip
    lines = [line.text for line in verdict.lines]
    if maturity.warning:
        lines.append(f"warning: {maturity.warning}")
    for line in lines:
        context.log(line)
    with context.store.change(context.actor, context.because) as change:
        record = save_evaluation(
            change, candidate, blobs=context.store.blobs, model_digest=logged.digest, dataset_digest=given["test"],
            code_digest=model.code, verdict=verdict, comparison=comparison,
        )  # fmt: skip
    _log_held_out(context, trained["run"], candidate)
    return {"evaluation": record.id, "passed": verdict.passed, "lines": lines}


def register(context: StepContext) -> dict[str, Any]:
    """Enter the judged model as a candidate version, bound to the digests of all that it was made from."""
    model = msgspec.convert(context.params["model"], ModelSpec)
    trained, judged = context.inputs[f"train-{model.name}"], context.inputs[f"evaluate-{model.name}"]
    given = context.inputs[f"features-{model.name}"]
    logged = msgspec.convert(trained["model"], LoggedModel)
    snapshots = [given for given in context.inputs.values() if "snapshot" in given]
    signature = context.put_bytes(canonical(logged.signature))
    reference = reference_of_candidate(context, model, given, logged)

    def entered() -> Version:
        with context.store.change(context.actor, context.because) as change:
            _check_in_force(change, model)
            version = register_version(
                change,
                model=model.name,
                artifacts=ModelArtifacts(
                    model=logged.digest, format=logged.format, signature=signature, sample=logged.sample
                ),
                lineage=Lineage(
                    data=tuple(given["digest"] for given in snapshots),
                    snapshots=tuple(given["snapshot"] for given in snapshots),
                    code=model.code, environment=trained["environment"], features=digest_of_view(model.view),
                    view=model.view.name, policy=context.params["policy"], run_id=trained["run"],
                    pipeline_run_id=context.run_id,
                ),
                params=model.params, evaluation_id=judged["evaluation"], task=model.label.task, owner=model.owner,
                approve_by=model.retraining.approve_by if model.retraining else None,
                other_than_author=model.retraining is not None and model.retraining.other_than_author,
                expires_s=(model.retraining.expires_s or None) if model.retraining else None,
                description=model.description,
            )  # fmt: skip
            set_alias(change, version, CHALLENGER)
            keep_reference(
                change, model=version.model, version=version.number, reference=reference, blobs=context.store.blobs
            )
            enter_turn(
                context.store,
                change,
                version,
                passed=judged["passed"],
                lines=tuple(judged["lines"]),
                run=context.run_id,
            )
        return version

    version = again_if_taken(entered)  # a controller may move the turn of before at this very moment
    evaluation = get_evaluation(context.store, judged["evaluation"])
    outcome = Outcome(
        model=version.model, version=version.number, passed=judged["passed"], evaluation=evaluation.record.id,
        verdict=tuple(judged["lines"]),
    )  # fmt: skip
    plain: dict[str, Any] = msgspec.to_builtins(outcome)
    return plain


def _slices(test: pa.Table, model: ModelSpec) -> dict[str, Any]:
    """Return the columns to look at slice by slice: every category, and what the conditions name."""
    view = compile_view(model.view)
    named = {metric.slice_by for rule in rules_of(model).values() for metric in metrics_of(rule)}
    chosen = [column.name for column in view.columns if column.kind == "category" or column.name in named]
    return {name: test[name].to_numpy(zero_copy_only=False) for name in chosen}


def _is_champions_latency(metric: Metric) -> bool:
    return metric.of == "champion" and metric.name.startswith("latency.")


def _log_held_out(context: StepContext, run_id: str, evaluation: Evaluation) -> None:
    """Add what was measured on the test span to the training run, where people compare runs."""
    store, now = context.store, context.store.clock.now()
    at_us = int(now.timestamp() * 1_000_000)
    points = tuple(
        MetricPoint(name, 0, at_us, measured.value)
        for name, measured in sorted(evaluation.metrics.items())
        if measured.value is not None
    )
    because = "its model was judged"
    resume_run(store, run_id, actor=context.actor, because=because, process=this_process())
    log_batch(store, run_id, Batch(writer=store.ids.new(), number=0, points=points))
    close_run(store, run_id, FinishRun(because=because), actor=context.actor)


def _check_in_force(change: Change, model: ModelSpec) -> None:
    """Refuse a version of a governed model that was trained and judged under another policy than the one in force."""
    found = (one for spec in specs_in_force(change.connection).values() for one in spec.models)
    policies = [policy_of(one) for one in found if one.name == model.name]
    if any(policy.is_governed and policy.digest != policy_of(model).digest for policy in policies):
        raise PolicyChanged(f"the policy of {model.name} has changed since its training", where=f"model {model.name}")
