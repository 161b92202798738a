"""The steps of the training path, as worker processes run them. Each returns what the next ones need, as JSON."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from trimtab.data import check, extra_columns_of, keep_snapshot, load_snapshot
from trimtab.declare import (
    FeatureViewSpec,
    ModelSpec,
    ProjectSpec,
    SourceSpec,
    duration_text,
)
from trimtab.features import materialise, register_view, training_frame
from trimtab.loop.declarations import in_force, record_declarations
from trimtab.loop.outcomes import OutcomeDesk
from trimtab.loop.own_code import READ, import_before_guests
from trimtab.loop.split import split_in_time
from trimtab.pipelines import StepContext

__all__ = ["declare", "features", "import_before_guests", "materialise_view", "outcomes", "snapshot"]


def snapshot(context: StepContext) -> dict[str, Any]:
    """Read a source, hold it to its contract, keep what passes."""
    source = msgspec.convert(context.params["source"], SourceSpec)
    file = Path(context.params["file"])
    given = {"source": context.params["source"], "file": str(file)}
    reads = (file.parent / source.path,) if source.path else ()
    rows = context.call_guest(READ, project=file, params=given, reads=reads).frame("rows")
    checked = check(source.contract, rows, set_aside_limit=source.set_aside_limit)
    kept = keep_snapshot(
        context.store, source, checked, extra_columns=extra_columns_of(rows), actor=context.actor,
        because=context.because,
    )  # fmt: skip
    context.log(f"{source.name}: {kept.rows} rows kept, {kept.set_aside_rows} set aside, snapshot {kept.id}")
    return {
        "snapshot": kept.id, "contract": source.contract.name, "digest": kept.digest, "content": kept.content_digest,
        "rows": kept.rows, "set_aside": kept.set_aside_rows,
    }  # fmt: skip


def features(context: StepContext) -> dict[str, Any]:
    """Compute the training frame and split it in time."""
    model = msgspec.convert(context.params["model"], ModelSpec)
    as_of = datetime.fromisoformat(context.params["as_of"])
    frame = training_frame(model.view, _tables(context), label=model.label, known_by=as_of)
    split = split_in_time(frame, model, as_of=as_of)
    context.log(f"{split.train.num_rows} rows to learn from, {split.test.num_rows} to be judged on")
    if split.maturity.after_s:
        after = duration_text(split.maturity.after_s)
        context.log(
            f"labels are final {after} after the decision: mature through {split.mature_through:%Y-%m-%d %H:%M}"
        )
    return {
        "train": context.put_frame(split.train), "train_rows": split.train.num_rows,
        "test": context.put_frame(split.test), "test_rows": split.test.num_rows,
        "test_from": split.test_from.isoformat(), "test_until": split.test_until.isoformat(),
        "maturity": msgspec.to_builtins(split.maturity), "mature_through": split.mature_through.isoformat(),
        "snapshots": {step: given["snapshot"] for step, given in context.inputs.items()},
    }  # fmt: skip


def materialise_view(context: StepContext) -> dict[str, Any]:
    """Fill the online store with what is known of a view now."""
    view = msgspec.convert(context.params["view"], FeatureViewSpec)
    with context.store.change(context.actor, context.because) as change:
        register_view(change, view)
    digests = {given["contract"]: given["content"] for given in context.inputs.values()}
    done = materialise(
        context.store, view, _tables(context), now=context.store.clock.now(), actor=context.actor,
        because=context.because, digests=digests,
    )  # fmt: skip
    plain: dict[str, Any] = msgspec.to_builtins(done)
    return plain


def outcomes(context: StepContext) -> dict[str, Any]:
    """Record what the newest snapshots tell about the decisions of a model's endpoint."""
    model = msgspec.convert(context.params["model"], ModelSpec)
    project = in_force(context.store, context.params["project"])
    if project is None:
        return {"told": 0}
    desk = OutcomeDesk(context.store, actor=context.actor)
    return {"told": desk.bring(project, model, until=context.store.clock.now())}


def declare(context: StepContext) -> dict[str, Any]:
    """Put the declarations in force, now that everything they name exists; policies of governed models are proposed."""
    spec = msgspec.convert(context.params["project"], ProjectSpec)
    with context.store.change(context.actor, context.because) as change:
        changed = record_declarations(change, spec, file=Path(context.params["file"]))
    return {"changed": changed}


def _tables(context: StepContext) -> dict[str, pa.Table]:
    inputs = context.inputs.values()
    return {
        given["contract"]: load_snapshot(context.store, given["snapshot"]) for given in inputs if "contract" in given
    }
