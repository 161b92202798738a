"""Say in words what applying a file would change; nothing happens yet."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
import pyarrow as pa

from trimtab.data import Delay, check, known_delay, latest_snapshot, load_snapshot, read_source, refuse_future
from trimtab.declare import (
    FeatureViewSpec,
    ModelSpec,
    Project,
    ProjectSpec,
    RetrainingSpec,
    ServingSpec,
    SourceSpec,
    declaration_digest,
    describe,
)  # fmt: skip
from trimtab.features import compile_view, decided_text, label_fields, prove_blind_to
from trimtab.loop.conditions import NeverAnswered, check_conditions, conditions_of, metrics_of
from trimtab.loop.declarations import KINDS, all_in_force, applied, declared_things
from trimtab.loop.governed import Held, hold
from trimtab.loop.maturity import label_lines
from trimtab.loop.power import drift_power_text, level_power_text, power_text
from trimtab.loop.proposals import open_proposal_of, open_proposals
from trimtab.loop.records import Plan, PlanItem, Sign
from trimtab.loop.wording import approver_text, differences, expiry_text, how_often, rollout_text
from trimtab.store import Store

Delays = dict[str, dict[str, Delay]]
"""How late values become known, by contract and field, of the sources that were read for the plan."""
Tables = dict[str, pa.Table]
"""The rows that keep their contract, by contract, of the sources that were read for the plan."""
PROPOSAL = "proposal"
"""Another policy for a governed model: it waits for somebody's yes, and the one in force stays until then."""
_ORDER = (*KINDS[:-1], "monitor", KINDS[-1], PROPOSAL)


def make_plan(store: Store, project: Project) -> Plan:
    """Compare a project's file with what is in force.

    Sources that are new or changed are read and held to their contracts, so that the plan names the rows that
    would be set aside. Raises the error of the first declaration that could not be applied.
    """
    in_force = applied(store, project.spec.name)
    held = hold(project.spec, (found.spec for found in all_in_force(store)))
    _check_policies(project.spec, held)
    project = msgspec.structs.replace(project, spec=held.spec)
    spec = held.spec
    things = declared_things(spec)
    items = []
    delays: Delays = {}
    tables: Tables = {}
    for (kind, name), thing in things.items():
        old = in_force.get((kind, name))
        sign: Sign = "+" if old is None else "=" if old.digest == declaration_digest(thing) else "~"
        lines = _lines(store, project, name, thing, sign, delays, tables)
        items.append(PlanItem(sign=sign, kind=kind, name=name, lines=lines))
    items += _monitors(store, spec, items, delays)
    items += _proposals(store, held)
    items.sort(key=lambda item: _ORDER.index(item.kind))
    for kind, name in in_force:
        if (kind, name) not in things:
            items.append(PlanItem(sign="-", kind=kind, name=name, lines=("is no longer declared; its history stays",)))
    return Plan(project=spec.name, as_of=store.clock.now(), items=tuple(items))


def _check_policies(declared: ProjectSpec, held: Held) -> None:
    """Hold what the file asks for, and what stays in force meanwhile, to what can be measured."""
    for model in declared.models:
        check_conditions(model)
    stays = {now.model for _, now in held.changes if not now.removed}
    for model in held.spec.models:
        try:
            check_conditions(model) if model.name in stays else None
        except NeverAnswered as error:
            raise NeverAnswered(
                error.what, where=error.where, why=f"{error.why} It stays in force until its change is approved.",
                next=f"apply the change of {model.name}'s policy by itself, have it approved, then change the features",
            ) from None  # fmt: skip


def _proposals(store: Store, held: Held) -> list[PlanItem]:
    """Say which policies of governed models the file would change, who has to agree, and what waits already."""
    found = []
    wanted = {now.model: (was, now) for was, now in held.changes}
    for name, (was, now) in wanted.items():
        waiting = open_proposal_of(store, name)
        if waiting is not None and waiting.policy.digest == now.digest:
            lines = (f"waits for {approver_text(was.retraining)}: trimtab approve policy {name} --because '...'",)
            found.append(PlanItem(sign="=", kind=PROPOSAL, name=name, lines=lines))
            continue
        asks = f"needs the approval of {approver_text(was.retraining)}; what is in force stays until then:"
        found.append(PlanItem(sign="~", kind=PROPOSAL, name=name, lines=(asks, *differences(was, now))))
    for waiting in open_proposals(store):
        if waiting.project == held.spec.name and waiting.model not in wanted:
            lines = ("is withdrawn: the file declares what is in force",)
            found.append(PlanItem(sign="-", kind=PROPOSAL, name=waiting.model, lines=lines))
    return found


def _lines(
    store: Store, project: Project, name: str, thing: object, sign: Sign, delays: Delays, tables: Tables
) -> tuple[str, ...]:
    match thing:
        case SourceSpec():
            return _source_lines(store, project, thing, sign, delays, tables)
        case FeatureViewSpec():
            return _view_lines(project, thing)
        case ModelSpec():
            return _model_lines(store, project, thing, sign, tables)
        case ServingSpec():
            return (rollout_text(thing), *_roll_back(store, name, thing))
        case RetrainingSpec():
            return _policy_lines(thing)
        case _:
            raise TypeError(f"{name} is a {type(thing).__name__}, which no plan knows")


def _source_lines(
    store: Store, project: Project, source: SourceSpec, sign: Sign, delays: Delays, tables: Tables
) -> tuple[str, ...]:
    if sign == "=":
        snapshot = latest_snapshot(store, source.name)
        return (f"{count(snapshot.rows)} rows, as snapshot {snapshot.id}",) if snapshot else ()
    table = read_source(source, project.namespace)
    checked = check(source.contract, table, set_aside_limit=source.set_aside_limit)
    refuse_future(source.contract, checked.kept, now=store.clock.now())
    rows = f"{count(table.num_rows)} rows"
    tables[source.contract.name] = checked.kept
    delays[source.contract.name] = known_delay(source.contract, checked.kept)
    late = _delay_line(delays[source.contract.name])
    if not checked.set_aside.num_rows:
        return (f"{rows}, contract passes{late}",)
    broken = checked.set_aside.num_rows
    verb, be = ("breaks", "is") if broken == 1 else ("break", "are")
    lines = [f"{rows}; {count(broken)} {verb} the contract and {be} set aside{late}:"]
    lines += [found.sentence for found in checked.breaks]
    lines.append(f"see: trimtab data show {source.name} --set-aside")
    return tuple(lines)


def _delay_line(delays: Mapping[str, Delay]) -> str:
    if not delays:
        return ""
    slowest = max(delays.values(), key=lambda quantiles: quantiles.median_s)
    return f"; outcomes become known {_hours(slowest.median_s)} later (median)"


def _monitors(store: Store, spec: ProjectSpec, items: Sequence[PlanItem], delays: Delays) -> list[PlanItem]:
    """Say of each model that is to serve what will be watched, and how small a drift is found.

    A monitor comes and changes with its endpoint and policy.
    """
    signs = {(item.kind, item.name): item.sign for item in items}
    found = []
    for model in spec.models:
        own = [signs[kind, model.name] for kind in ("endpoint", "policy") if (kind, model.name) in signs]
        if own:
            sign: Sign = "+" if signs["model", model.name] == "+" else "=" if set(own) == {"="} else "~"
            lines = [f"{', '.join(_watched(model))}{_labels_expected(model, delays)}"]
            if sign != "=":  # else it is on already: trimtab approve said it, and the monitor's dry run does
                now = store.clock.now()
                lines.append(drift_power_text(store, model.name, compile_view(model.view).names, at=now))
                lines += [line] if (line := level_power_text(store, model.name, at=now)) else []
            found.append(PlanItem(sign=sign, kind="monitor", name=model.name, lines=tuple(lines)))
    return found


def _watched(model: ModelSpec) -> list[str]:
    """Return what is watched in words: drift always, and what the policies ask for."""
    said = {
        "drift.of_prediction": "prediction drift",
        "drift.of": f"drift of {len(compile_view(model.view).names)} columns",
    }
    policies = (model.retraining and model.retraining.when, model.serving and model.serving.roll_back_if)
    for metric in metrics_of(condition for policy in policies if policy for condition in conditions_of(policy)):
        if metric.of == "self" and metric.name not in said:
            said[describe(metric)] = describe(metric)
    return list(said.values())


def _labels_expected(model: ModelSpec, delays: Delays) -> str:
    fields = label_fields(model.label)
    late = [delay for name, delay in delays.get(model.view.of.name, {}).items() if name in fields]
    if not late:
        return ""
    slowest = max(late, key=lambda quantiles: quantiles.median_s)
    return f" (labels expected after {_hours(slowest.median_s)}, p99 {_hours(slowest.p99_s)})"


def _hours(seconds: float) -> str:
    return f"{timedelta(seconds=seconds) / timedelta(hours=1):.1f} h"


def _view_lines(project: Project, view: FeatureViewSpec) -> tuple[str, ...]:
    compiled = compile_view(view)
    lines = [f"{len(compiled.columns)} columns, decided {decided_text(view)}"]
    for model in project.spec.models:
        if model.view.name == view.name:
            proof = prove_blind_to(view, model.label)
            lines.append(f"checked: {proof.summary} ({proof.because})")
    return tuple(lines)


def _model_lines(store: Store, project: Project, model: ModelSpec, sign: Sign, tables: Tables) -> tuple[str, ...]:
    first = f"trains on {model.train.text}, tested on the {model.test.text}"
    of = model.view.of.name
    if of not in tables and sign != "=":
        source = project.spec.source_of(of)
        snapshot = latest_snapshot(store, source.name) if source is not None else None
        if snapshot is not None:
            tables[of] = load_snapshot(store, snapshot)
    labels = label_lines(model, tables[of], now=store.clock.now()) if of in tables else ()
    asked = tuple(f"accepted if {describe(condition)}" for condition in model.accept)
    nothing = "warning: it has no accept_if, so no gate judges it: each version is approved with an override, or not"
    return (first, *labels, *(asked or (nothing,)))


def _roll_back(store: Store, model: str, serving: ServingSpec) -> tuple[str, ...]:
    if serving.roll_back_if is None:
        return ()
    power = power_text(store, model, serving)
    return (f"rolls back if {describe(serving.roll_back_if)}", *((power,) if power else ()))


def _policy_lines(retraining: RetrainingSpec) -> tuple[str, ...]:
    by = f"approved by {who}" if (who := approver_text(retraining)) else ""
    by += f" for {span}" if (span := expiry_text(retraining)) else ""
    limits = ", ".join(part for part in (how_often(retraining), by) if part)
    return (f"retrain {limits}".rstrip(), f"when {describe(retraining.when)}")


def count(number: int) -> str:
    """Write a count with a space between thousands."""
    return f"{number:,}".replace(",", " ")
