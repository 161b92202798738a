"""Keep what was applied, and read it back."""

from datetime import datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, delete, func, select

from trimtab.declare import (
    FeatureViewSpec,
    ModelSpec,
    ProjectSpec,
    RetrainingSpec,
    ServingSpec,
    SourceSpec,
    Spec,
    declaration_digest,
)
from trimtab.loop.events import DeclarationApplied
from trimtab.loop.governed import hold
from trimtab.loop.proposals import propose_changes
from trimtab.loop.records import Declaration
from trimtab.loop.tables import declarations
from trimtab.store import Change, Store, check_rows

_T = TypeVar("_T")
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
    with store.read() as connection:
        return _applied(connection, project, check=store.has_key)


def _applied(connection: Connection, project: str, *, check: bool) -> dict[tuple[str, str], Declaration]:
    query = (
        select(declarations).where(declarations.c.project == project).order_by(declarations.c.kind, declarations.c.name)
    )
    rows = connection.execute(query).mappings().all()
    if check:
        check_rows(connection, declarations, rows, all_of=(project,))
    return {(row["kind"], row["name"]): _declaration(dict(row)) for row in rows}


class InForce(msgspec.Struct, frozen=True):
    """A project as it was last applied: where its file lies, and what it declared then."""

    path: Path
    spec: ProjectSpec


def all_in_force(store: Store) -> tuple[InForce, ...]:
    """Return every project as it was last applied, each model with its policies, by the project's name."""
    with store.read() as connection:
        return _all_in_force(connection, check=store.has_key)


def specs_in_force(connection: Connection) -> dict[str, ProjectSpec]:
    """Return what every project declares that is in force, by its name, within a change."""
    return {found.spec.name: found.spec for found in _all_in_force(connection, check=True)}


def _all_in_force(connection: Connection, *, check: bool) -> tuple[InForce, ...]:
    rows = connection.execute(_ALL).mappings().all()
    if check:  # without the key nothing can be done here that would rest on them
        check_rows(connection, declarations, rows, all_of=())
    found = []
    for project, group in groupby(rows, key=lambda row: str(row["project"])):
        mine = list(group)
        specs = tuple((row["kind"], row["name"], row["spec"]) for row in mine)
        found.append(InForce(Path(max(mine, key=lambda row: row["applied_at"])["file"]), _declared(project, specs)))
    return tuple(found)


_ALL = select(declarations).order_by(declarations.c.project, declarations.c.kind, declarations.c.name)


@lru_cache(maxsize=64)  # asked at every tick, and the same for weeks
def _declared(project: str, specs: tuple[tuple[str, str, str], ...]) -> ProjectSpec:
    """Return the project that some declarations make: (kind, name, JSON) of each."""

    def of(kind: str, type_: type[_T]) -> dict[str, _T]:
        return {name: msgspec.json.decode(text, type=type_) for its, name, text in specs if its == kind}

    serving, policies = of("endpoint", ServingSpec), of("policy", RetrainingSpec)
    return ProjectSpec(
        name=project,
        models=tuple(
            msgspec.structs.replace(model, serving=serving.get(name), retraining=policies.get(name))
            for name, model in of("model", ModelSpec).items()
        ),
        sources=tuple(of("source", SourceSpec).values()),
        views=tuple(of("features", FeatureViewSpec).values()),
    )


def projects(store: Store) -> dict[str, Path]:
    """Return the file from which each project was applied last, by the project's name."""
    return {found.spec.name: found.path for found in all_in_force(store)}


def in_force(store: Store, project: str) -> InForce | None:
    """Return a project as it was last applied; None when it never was."""
    return next((found for found in all_in_force(store) if found.spec.name == project), None)


def model_in_force(store: Store, name: str) -> tuple[InForce, ModelSpec] | None:
    """Return a model's declaration with the project that declares it; None when no file in force does."""
    both = ((found, model) for found in all_in_force(store) for model in found.spec.models)
    return next(((found, model) for found, model in both if model.name == name), None)


def record_declarations(change: Change, project: ProjectSpec, *, file: Path) -> int:
    """Put a project's declarations in force, but for the policies of governed models, which are proposed.

    Records an event for each declaration that differs, and for each proposal; returns how many did.
    """
    one_at_a_time(change)
    held = hold(project, specs_in_force(change.connection).values())
    return put_in_force(change, held.spec, file=file) + propose_changes(change, held, file=str(file))


def put_in_force(change: Change, project: ProjectSpec, *, file: Path) -> int:
    """Let a project's declarations be those in force; record one event for each that differs, return how many did."""
    before = _applied(change.connection, project.name, check=True)
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


def one_at_a_time(change: Change) -> None:
    """Let nobody else declare or decide on a policy until the end of the change. SQLite has one writer anyway.

    Rows alone would not do: a file applied meanwhile may add a declaration that no row stands for yet.
    """
    if change.connection.dialect.name == "postgresql":
        change.connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("loop.declarations", 0))))


def _remove(change: Change, project: str, kind: str, name: str) -> None:
    key = (declarations.c.project == project) & (declarations.c.kind == kind) & (declarations.c.name == name)
    change.execute(delete(declarations).where(key))


def _declaration(row: dict[str, Any]) -> Declaration:
    return Declaration(
        project=row["project"], kind=row["kind"], name=row["name"], digest=row["digest"],
        spec=msgspec.json.decode(row["spec"]), applied_at=datetime.fromisoformat(row["applied_at"]),
    )  # fmt: skip
