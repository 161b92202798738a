"""Keep the policy of a governed model out of its author's hand: what a file declares is held to what is in force."""

from collections.abc import Iterable

import msgspec

from trimtab.declare import ModelSpec, ProjectSpec
from trimtab.kernel import Conflict
from trimtab.loop.records import ModelPolicy


class DeclaredElsewhere(Conflict):
    """A governed model is declared by a second file, which could name another policy for the same endpoint."""

    code = "loop.declared-elsewhere"
    default_why = "A model that asks for an approval is declared in one file, so that one policy is in force for it."
    default_next = "declare it in {project}.py, or take it out there, apply that, and have it approved first"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a file declares, with the policies that are in force for governed models, and how it would change them.

    ``changes`` are pairs of policies: the one in force, and the one that the file declares instead.
    """

    spec: ProjectSpec
    changes: tuple[tuple[ModelPolicy, ModelPolicy], ...] = ()


def policy_of(model: ModelSpec) -> ModelPolicy:
    """Return what a model's declaration says beyond what is learnt."""
    return ModelPolicy(model=model.name, accept=model.accept, serving=model.serving, retraining=model.retraining)


def under(model: ModelSpec, policy: ModelPolicy) -> ModelSpec:
    """Return a model under another policy."""
    return msgspec.structs.replace(model, accept=policy.accept, serving=policy.serving, retraining=policy.retraining)


def hold(spec: ProjectSpec, in_force: Iterable[ProjectSpec]) -> Held:
    """Return what may come into force of ``spec`` without anybody's approval: all but the policy of governed models.

    ``in_force`` are the projects as they were last applied. A governed model that the file no longer declares stays,
    with what it needs. Raises ``DeclaredElsewhere``.
    """
    before = ProjectSpec(name=spec.name)
    for project in in_force:
        if project.name == spec.name:
            before = project
        else:
            _refuse_second(spec, project)
    known = {model.name: model for model in before.models}
    models, changes = [], []
    for model in spec.models:
        was = policy_of(known.pop(model.name, model))
        if was.is_governed and was.digest != policy_of(model).digest:
            changes.append((was, policy_of(model)))
        models.append(under(model, was) if was.is_governed else model)
    gone = [model for model in known.values() if policy_of(model).is_governed]
    changes += [(policy_of(model), ModelPolicy(model=model.name, removed=True)) for model in gone]
    kept = msgspec.structs.replace(spec, models=(*models, *gone))
    return Held(spec=_with_needed(kept, gone, before), changes=tuple(changes))


def _with_needed(spec: ProjectSpec, gone: Iterable[ModelSpec], before: ProjectSpec) -> ProjectSpec:
    """Add the views and sources of models that stay although the file has dropped them."""
    views = {view.name: view for view in spec.views}
    sources = {source.name: source for source in spec.sources}
    for model in gone:
        views.setdefault(model.view.name, model.view)
        for contract in model.view.contracts:
            source = before.source_of(contract.name)
            if source is not None and spec.source_of(contract.name) is None:
                sources.setdefault(source.name, source)
    return msgspec.structs.replace(spec, views=tuple(views.values()), sources=tuple(sources.values()))


def _refuse_second(spec: ProjectSpec, other: ProjectSpec) -> None:
    theirs = {model.name: model for model in other.models}
    for model in spec.models:
        found = theirs.get(model.name)
        if found is not None and (policy_of(found).is_governed or policy_of(model).is_governed):
            raise DeclaredElsewhere(
                f"{model.name} is declared by {other.name}.py already",
                where=model.where or f"model {model.name}",
                project=other.name,
            )
