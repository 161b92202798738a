"""Keep what was applied, and read it back."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import delete, select

from fairlead.declare import (
    FeatureViewSpec,
    ModelSpec,
    ProjectSpec,
    RetrainingSpec,
    ServingSpec,
    SourceSpec,
    Spec,
    declaration_digest,
)
from fairlead.loop.events import DeclarationApplied
from fairlead.loop.records import Declaration
from fairlead.loop.tables import declarations
from fairlead.store import Change, Store

KINDS = ("source", "features", "model", "endpoint", "policy")


def declared_things(project: ProjectSpec) -> dict[tuple[str, str], Spec]:
    """Return what a project declares by (kind, name), in the order of a plan.

    A model's serving and retraining policies are things of their own (``endpoint``, ``policy``): changing how a
    model reaches people does not train it again.
    """
    things: dict[tuple[str, str], Spec] = {}
    for source in project.sources:
        things["source", source.name] = source
    for view in project.views:
        things["features", view.name] = view
    for model in project.models:
        things["model", model.name] = without_policies(model)
    for model in project.models:
        if model.serving is not None:
            things["endpoint", model.name] = model.serving
    for model in project.models:
        if model.retraining is not None:
            things["policy", model.name] = model.retraining
    return things


def without_policies(model: ModelSpec) -> ModelSpec:
    """Return the part of a model's declaration that decides what is learnt and judged."""
    return msgspec.structs.replace(model, serving=None, retraining=None)


def applied(store: Store, project: str) -> dict[tuple[str, str], Declaration]:
    """Return what is in force for a project, by (kind, name)."""
    query = (
        select(declarations).where(declarations.c.project == project).order_by(declarations.c.kind, declarations.c.name)
    )
    with store.read() as connection:
        rows = connection.execute(query).mappings().all()
    return {(row["kind"], row["name"]): _declaration(dict(row)) for row in rows}


def projects(store: Store) -> dict[str, Path]:
    """Return the file of each applied project, by the project's name."""
    query = select(declarations.c.project, declarations.c.file).distinct().order_by(declarations.c.project)
    with store.read() as connection:
        return {row.project: Path(row.file) for row in connection.execute(query)}


class InForce(msgspec.Struct, frozen=True):
    """A project as it was last applied: where its file lies, and what it declared then."""

    path: Path
    spec: ProjectSpec


def in_force(store: Store, project: str) -> InForce | None:
    """Return a project as it was last applied, each model with its policies; None when it never was."""
    found = applied(store, project)
    file = projects(store).get(project)
    if file is None:
        return None
    serving = {
        name: msgspec.convert(one.spec, ServingSpec) for (kind, name), one in found.items() if kind == "endpoint"
    }
    policies = {name: msgspec.convert(d.spec, RetrainingSpec) for (kind, name), d in found.items() if kind == "policy"}
    models = tuple(
        msgspec.structs.replace(
            msgspec.convert(one.spec, ModelSpec), serving=serving.get(name), retraining=policies.get(name)
        )
        for (kind, name), one in found.items()
        if kind == "model"
    )
    spec = ProjectSpec(
        name=project, models=models,
        sources=tuple(msgspec.convert(one.spec, SourceSpec) for (kind, _), one in found.items() if kind == "source"),
        views=tuple(msgspec.convert(d.spec, FeatureViewSpec) for (kind, _), d in found.items() if kind == "features"),
    )  # fmt: skip
    return InForce(file, spec)


def model_in_force(store: Store, name: str) -> tuple[InForce, ModelSpec] | None:
    """Return a model's declaration with the project that declares it; None when no file in force does."""
    for project in projects(store):
        found = in_force(store, project)
        for model in found.spec.models if found else ():
            if found is not None and model.name == name:
                return found, model
    return None


def record_declarations(
    change: Change, project: ProjectSpec, *, file: Path, before: dict[tuple[str, str], Declaration]
) -> int:
    """Put a project's declarations in force; record one event for each that differs and return how many did."""
    things = declared_things(project)
    changed = 0
    for (kind, name), spec in things.items():
        digest = declaration_digest(spec)
        old = before.get((kind, name))
        if old is not None and old.digest == digest:
            continue
        changed += 1
        _remove(change, project.name, kind, name)
        change.execute(
            declarations.insert().values(
                project=project.name, kind=kind, name=name, digest=digest, spec=msgspec.json.encode(spec).decode(),
                file=str(file), applied_at=change.at.isoformat(),
            )
        )  # fmt: skip
        change.record(
            DeclarationApplied(
                project=project.name, kind=kind, name=name, digest=digest, replaced=old.digest if old else None
            )
        )
    for (kind, name), old in before.items():
        if (kind, name) not in things:
            changed += 1
            _remove(change, project.name, kind, name)
            change.record(
                DeclarationApplied(project=project.name, kind=kind, name=name, digest=None, replaced=old.digest)
            )
    return changed


def _remove(change: Change, project: str, kind: str, name: str) -> None:
    key = (declarations.c.project == project) & (declarations.c.kind == kind) & (declarations.c.name == name)
    change.execute(delete(declarations).where(key))


def _declaration(row: dict[str, Any]) -> Declaration:
    return Declaration(
        project=row["project"], kind=row["kind"], name=row["name"], digest=row["digest"],
        spec=msgspec.json.decode(row["spec"]), applied_at=datetime.fromisoformat(row["applied_at"]),
    )  # fmt: skip
