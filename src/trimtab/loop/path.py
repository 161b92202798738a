"""The training path as a durable pipeline: snapshots, features, training, evaluation, registration."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from trimtab.declare import FeatureViewSpec, ModelSpec, ProjectSpec, SourceSpec, declaration_digest
from trimtab.pipelines import PipelineSpec, StepSpec

STEPS = "trimtab.loop.steps"
LEARN = "trimtab.loop.learn"
SECONDS_A_STEP = 3600.0
DECLARE = "declare"
"""The last step of an apply, which puts the declarations in force."""


class Declared(Protocol):
    """A project, loaded from its file or as it was last applied: what it declares, and where its file lies."""

    @property
    def spec(self) -> ProjectSpec: ...

    @property
    def path(self) -> Path: ...


def apply_pipeline(
    project: Declared, *, models: Iterable[ModelSpec], views: Iterable[FeatureViewSpec], as_of: datetime
) -> PipelineSpec:
    """Return the pipeline that brings models and views into being and then puts the declarations in force."""
    steps = _steps(project, models=models, views=views, as_of=as_of)
    last = StepSpec(
        name=DECLARE, function=f"{STEPS}:declare", needs=tuple(step.name for step in steps),
        params={"file": str(project.path), "project": _plain(project.spec)},
    )  # fmt: skip
    return PipelineSpec(name=apply_name(project.spec), steps=(*steps, last))


def apply_name(project: ProjectSpec) -> str:
    """Return the name of the pipeline that applies a project."""
    return f"apply-{project.name}"


def training_pipeline(
    project: Declared, model: ModelSpec, *, as_of: datetime, views: Iterable[FeatureViewSpec] | None = None
) -> PipelineSpec:
    """Return the pipeline that trains one model again and brings ``views`` (its own) online up to date."""
    views = [model.view] if views is None else views
    return PipelineSpec(name=f"train-{model.name}", steps=_steps(project, models=[model], views=views, as_of=as_of))


def materialise_pipeline(project: Declared, view: FeatureViewSpec, *, as_of: datetime) -> PipelineSpec:
    """Return the pipeline that brings a view's features online up to date, and what became of its models' decisions."""
    steps = _steps(project, models=[], views=[view], as_of=as_of)
    models = [model for model in project.spec.models if model.view.name == view.name]
    told = tuple(
        StepSpec(
            name=f"outcomes-{model.name}", function=f"{STEPS}:outcomes", needs=_snapshots_of(project, view),
            params={"project": project.spec.name, "model": _plain(model)}, timeout_s=SECONDS_A_STEP,
        )
        for model in models
    )  # fmt: skip
    return PipelineSpec(name=f"materialise-{view.name}", steps=(*steps, *told))


def snapshot_pipeline(project: Declared, source: SourceSpec) -> PipelineSpec:
    """Return the pipeline that takes one source's snapshot."""
    return PipelineSpec(name=f"snapshot-{source.name}", steps=(_snapshot(project, source),))


def _steps(
    project: Declared, *, models: Iterable[ModelSpec], views: Iterable[FeatureViewSpec], as_of: datetime
) -> tuple[StepSpec, ...]:
    models, views = list(models), list(views)
    sources: dict[str, SourceSpec] = {}
    for view in [*views, *(model.view for model in models)]:
        for contract in view.contracts:
            source = project.spec.source_of(contract.name)
            assert source is not None, "load_project refuses a view without a source"
            sources[source.name] = source
    steps = [_snapshot(project, source) for source in sources.values()]
    steps += [_materialise(project, view) for view in views]
    for model in models:
        steps += _training(project, model, as_of=as_of)
    return tuple(steps)


def _snapshot(project: Declared, source: SourceSpec) -> StepSpec:
    # Never cached: only reading tells whether the data changed. The same data gives the same snapshot.
    return StepSpec(
        name=f"snapshot-{source.name}", function=f"{STEPS}:snapshot", timeout_s=SECONDS_A_STEP,
        params={"file": str(project.path), "source": _plain(source)},
    )  # fmt: skip


def _snapshots_of(project: Declared, view: FeatureViewSpec) -> tuple[str, ...]:
    found = (project.spec.source_of(contract.name) for contract in view.contracts)
    return tuple(f"snapshot-{source.name}" for source in found if source is not None)


def _materialise(project: Declared, view: FeatureViewSpec) -> StepSpec:
    return StepSpec(
        name=f"materialise-{view.name}", function=f"{STEPS}:materialise_view", needs=_snapshots_of(project, view),
        params={"view": _plain(view)}, timeout_s=SECONDS_A_STEP,
    )  # fmt: skip


def _training(project: Declared, model: ModelSpec, *, as_of: datetime) -> list[StepSpec]:
    learnt = msgspec.structs.replace(model, accept=(), serving=None, retraining=None)
    seen = msgspec.structs.replace(learnt, function="", params={}, seed=0, quantile=0.5, code="")
    features, train, evaluate = f"features-{model.name}", f"train-{model.name}", f"evaluate-{model.name}"
    return [
        StepSpec(
            name=features, function=f"{STEPS}:features", needs=_snapshots_of(project, model.view),
            params={"model": _plain(seen), "as_of": as_of.isoformat()}, cache=True, timeout_s=SECONDS_A_STEP,
        ),
        StepSpec(
            name=train, function=f"{LEARN}:train", needs=(features,), code=model.code, timeout_s=SECONDS_A_STEP,
            params={"model": _plain(learnt), "file": str(project.path)}, cache=True,
        ),
        StepSpec(
            name=evaluate, function=f"{LEARN}:evaluate_candidate", needs=(features, train),
            params={"model": _plain(model)}, timeout_s=SECONDS_A_STEP,
        ),
        StepSpec(
            name=f"register-{model.name}", function=f"{LEARN}:register",
            needs=(features, train, evaluate, *_snapshots_of(project, model.view)),
            params={"model": _plain(model), "policy": declaration_digest(model)},
        ),
    ]  # fmt: skip


def _plain(spec: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    return plain
