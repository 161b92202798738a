"""What a file declares about a model and is in force: its definition, its sources and its policies."""

import msgspec

from trimtab.declare import Every, ModelSpec, RetrainingSpec, ServingSpec, SourceSpec, describe, duration_text
from trimtab.loop import applied, projects
from trimtab.store import Store


class Declared(msgspec.Struct, frozen=True):
    """A model as declared, the sources of its project, and how it is served and learnt again."""

    model: ModelSpec
    sources: tuple[SourceSpec, ...]
    serving: ServingSpec | None
    retraining: RetrainingSpec | None

    def source_names(self) -> list[str]:
        """Return the sources that the model's features read, in the order of its contracts."""
        by_contract = {source.contract.name: source.name for source in self.sources}
        names = (by_contract.get(contract.name) for contract in self.model.view.contracts)
        return list(dict.fromkeys(name for name in names if name is not None))


def declared_model(store: Store, name: str) -> Declared | None:
    """Return what is in force for a model, or None when no file declares it."""
    for project in projects(store):
        found = applied(store, project)
        if ("model", name) not in found:
            continue
        serving, policy = found.get(("endpoint", name)), found.get(("policy", name))
        return Declared(
            msgspec.convert(found["model", name].spec, ModelSpec),
            tuple(msgspec.convert(one.spec, SourceSpec) for (kind, _), one in found.items() if kind == "source"),
            msgspec.convert(serving.spec, ServingSpec) if serving else None,
            msgspec.convert(policy.spec, RetrainingSpec) if policy else None,
        )
    return None


def again_when(policy: RetrainingSpec) -> str:
    """Say when a model learns again, how often at most, and who says yes to what comes of it."""
    when = describe(policy.when)
    parts = [f"Again {when}" if isinstance(policy.when, Every) else f"Again when {when}"]
    parts += [f"at most once in {duration_text(policy.at_most_s)}"] if policy.at_most_s else []
    parts += [f"{policy.approve_by} says yes"] if policy.approve_by else []
    return "; ".join(parts)
