"""Say in words what applying a file would change; nothing happens yet."""

from datetime import timedelta

import pyarrow as pa

from fairlead.data import check, known_delay, latest_snapshot, read_source, refuse_future
from fairlead.declare import (
    FeatureViewSpec,
    ModelSpec,
    Project,
    RetrainingSpec,
    ServingSpec,
    SourceSpec,
    Stage,
    declaration_digest,
    describe,
    duration_text,
)  # fmt: skip
from fairlead.features import compile_view, decided_text, prove_blind_to
from fairlead.loop.conditions import check_conditions
from fairlead.loop.declarations import applied, declared_things
from fairlead.loop.records import Plan, PlanItem, Sign
from fairlead.loop.triggers import words_of_policy
from fairlead.store import Store


def make_plan(store: Store, project: Project) -> Plan:
    """Compare a project's file with what is in force.

    Sources that are new or changed are read and held to their contracts, so that the plan names the rows that
    would be set aside. Raises the error of the first declaration that could not be applied.
    """
    spec = project.spec
    in_force = applied(store, spec.name)
    things = declared_things(spec)
    items = []
    for (kind, name), thing in things.items():
        old = in_force.get((kind, name))
        sign: Sign = "+" if old is None else "=" if old.digest == declaration_digest(thing) else "~"
        items.append(PlanItem(sign=sign, kind=kind, name=name, lines=_lines(store, project, name, thing, sign)))
    for kind, name in in_force:
        if (kind, name) not in things:
            items.append(PlanItem(sign="-", kind=kind, name=name, lines=("is no longer declared; its history stays",)))
    return Plan(project=spec.name, as_of=store.clock.now(), items=tuple(items))


def _lines(store: Store, project: Project, name: str, thing: object, sign: Sign) -> tuple[str, ...]:
    match thing:
        case SourceSpec():
            return _source_lines(store, project, thing, sign)
        case FeatureViewSpec():
            return _view_lines(project, thing)
        case ModelSpec():
            return _model_lines(thing)
        case ServingSpec():
            return (" > ".join(_stage(stage) for stage in thing.rollout), *_roll_back(thing))
        case RetrainingSpec():
            return _policy_lines(thing)
        case _:
            raise TypeError(f"{name} is a {type(thing).__name__}, which no plan knows")


def _source_lines(store: Store, project: Project, source: SourceSpec, sign: Sign) -> tuple[str, ...]:
    if sign == "=":
        snapshot = latest_snapshot(store, source.name)
        return (f"{count(snapshot.rows)} rows, as snapshot {snapshot.id}",) if snapshot else ()
    table = read_source(source, project.namespace)
    checked = check(source.contract, table, set_aside_limit=source.set_aside_limit)
    refuse_future(source.contract, checked.kept, now=store.clock.now())
    rows = f"{count(table.num_rows)} rows"
    delays = _delay_line(source, checked.kept)
    if not checked.set_aside.num_rows:
        return (f"{rows}, contract passes{delays}",)
    broken = checked.set_aside.num_rows
    verb, be = ("breaks", "is") if broken == 1 else ("break", "are")
    lines = [f"{rows}; {count(broken)} {verb} the contract and {be} set aside{delays}:"]
    lines += [found.sentence for found in checked.breaks]
    lines.append(f"see: fairlead data show {source.name} --set-aside")
    return tuple(lines)


def _delay_line(source: SourceSpec, kept: pa.Table) -> str:
    delays = known_delay(source.contract, kept)
    if not delays:
        return ""
    slowest = max(delays.values(), key=lambda quantiles: quantiles.median_s)
    return f"; outcomes become known {timedelta(seconds=slowest.median_s) / timedelta(hours=1):.1f} h later (median)"


def _view_lines(project: Project, view: FeatureViewSpec) -> tuple[str, ...]:
    compiled = compile_view(view)
    lines = [f"{len(compiled.columns)} columns, decided {decided_text(view)}"]
    for model in project.spec.models:
        if model.view.name == view.name:
            proof = prove_blind_to(view, model.label)
            lines.append(f"checked: {proof.summary} ({proof.because})")
    return tuple(lines)


def _model_lines(model: ModelSpec) -> tuple[str, ...]:
    check_conditions(model)
    first = f"trains on {model.train.text}, tested on the {model.test.text}"
    return (first, *(f"accepted if {describe(condition)}" for condition in model.accept))


def _roll_back(serving: ServingSpec) -> tuple[str, ...]:
    return (f"rolls back if {describe(serving.roll_back_if)}",) if serving.roll_back_if is not None else ()


def _policy_lines(retraining: RetrainingSpec) -> tuple[str, ...]:
    by = f"approved by {retraining.approve_by}" if retraining.approve_by else ""
    by += ", other than the author" if retraining.other_than_author else ""
    limits = ", ".join(part for part in (words_of_policy(retraining), by) if part)
    return (f"retrain {limits}".rstrip(), f"when {describe(retraining.when)}")


def _stage(stage: Stage) -> str:
    share = {"shadow": "shadow", "canary": f"canary {stage.percent:g}%", "full": "full"}[stage.kind]
    least = f" and {stage.decisions} decisions" if stage.decisions else ""
    return f"{share} {duration_text(stage.hold_s)}{least}" if stage.hold_s else share


def count(number: int) -> str:
    """Write a count with a space between thousands."""
    return f"{number:,}".replace(",", " ")
