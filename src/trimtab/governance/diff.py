"""How two versions differ: data, features, code, params, metrics by slice, environment, policy, approvals."""

from collections.abc import Mapping
from typing import Any

import msgspec

from trimtab.declare import FeatureViewSpec, ModelSpec, describe, show, show_rollout
from trimtab.features import compile_view
from trimtab.governance.dossier import (
    CAPTURED,
    COVERED,
    ENVIRONMENT,
    FEATURES,
    POLICY,
    REPORT,
    VERSION,
    Dossier,
    dossier_of,
)
from trimtab.governance.history import size_at
from trimtab.governance.records import Diff, Difference, DiffSection, Value
from trimtab.registry import VersionRef
from trimtab.store import Store

_SNAPSHOT = ("id", "rows", "set_aside_rows", "event_time_from", "event_time_to", "content_digest", "contract_digest")
_OTHER_ROWS = "the two were not measured on the same rows, so that a difference may come from these"
Values = dict[str, Value]


def diff(store: Store, was: VersionRef | str, now: VersionRef | str, *, position: int | None = None) -> Diff:
    """Compare two versions as of a position of the ledger (default: now).

    Only records that the ledger vouches for are compared; what one of them lacks is named in ``missing``. Raises
    ``VersionMissing``.
    """
    size = size_at(store, position)
    a, b = dossier_of(store, was, size=size), dossier_of(store, now, size=size)
    sections = (
        _section("Data", _data(a), _data(b)),
        _section("Features", _features(a), _features(b)),
        _section("Code", _code(a), _code(b)),
        _section("Params", _params(a), _params(b)),
        _section("Metrics", _metrics(a), _metrics(b), note=_rows(a, b)),
        _section("Metrics by slice", _slices(a), _slices(b), note=_rows(a, b)),
        _section("Environment", _environment(a), _environment(b)),
        _section("Policy", _policy(a), _policy(b)),
        _section("Approvals", _approvals(a), _approvals(b)),
    )
    missing = tuple(f"{d.ref}: {line}" for d in (a, b) for line in d.missing)
    return Diff(was=a.ref, now=b.ref, position=size - 1, sections=sections, missing=missing)


def _section(title: str, was: Values, now: Values, *, note: str = "") -> DiffSection:
    names = list(dict.fromkeys([*was, *now]))
    found = [_difference(name, was.get(name), now.get(name)) for name in names if was.get(name) != now.get(name)]
    return DiffSection(title=title, compared=len(names), differences=tuple(found), note=note)


def _difference(name: str, was: Value, now: Value) -> Difference:
    numbers = [value for value in (was, now) if isinstance(value, int | float) and not isinstance(value, bool)]
    delta = numbers[1] - numbers[0] if len(numbers) == 2 else None
    return Difference(name=name, was=was, now=now, delta=delta)


def _json(dossier: Dossier, member: str) -> Any:
    found = dossier.members.get(member)
    return found.value if found else {}


def _data(dossier: Dossier) -> Values:
    records = [member.value for name, member in dossier.members.items() if name.startswith("data/")]
    return {f"{one['source']} {field.replace('_', ' ')}": one[field] for one in records for field in _SNAPSHOT}


def _features(dossier: Dossier) -> Values:
    covered = _json(dossier, COVERED)
    values: Values = {"view": covered.get("view"), "digest of its meaning": covered.get("features")}
    if FEATURES in dossier.members:
        view = msgspec.json.decode(dossier.members[FEATURES].data, type=FeatureViewSpec)
        values["decided"] = f"{view.decided} {view.decided_offset_s:+g} s"
        values |= {f"column {column.name}": show(column.source) for column in compile_view(view).columns}
    return values


def _code(dossier: Dossier) -> Values:
    code = _json(dossier, CAPTURED).get("code") or {}
    return {
        "digest of the train function": _json(dossier, COVERED).get("code"),
        "commit": code.get("commit"),
        "changed since the commit": code.get("dirty"),
        "digest of these changes": code.get("diff"),
    }


def _params(dossier: Dossier) -> Values:
    return {name: _plain(value) for name, value in _json(dossier, "params.json").items()}


def _metrics(dossier: Dossier) -> Values:
    evaluation = _json(dossier, REPORT).get("evaluation", {})
    return {name: value["value"] for name, value in sorted(evaluation.get("metrics", {}).items())}


def _slices(dossier: Dossier) -> Values:
    evaluation = _json(dossier, REPORT).get("evaluation", {})
    return {
        f"{metric} where {column} is {one['value']}": value["value"]
        for column, slices in sorted(evaluation.get("slices", {}).items())
        for one in slices
        for metric, value in sorted(one["metrics"].items())
    }


def _rows(a: Dossier, b: Dossier) -> str:
    rows = [_json(one, REPORT).get("evaluation", {}).get("rows") for one in (a, b)]
    return "" if rows[0] == rows[1] else _OTHER_ROWS


def _environment(dossier: Dossier) -> Values:
    found: Mapping[str, Any] = _json(dossier, ENVIRONMENT)
    values: Values = {name: found.get(name) for name in ("python", "implementation", "system", "machine")}
    return values | {f"package {name}": version for name, version in found.get("packages", {}).items()}


def _policy(dossier: Dossier) -> Values:
    if POLICY not in dossier.members:
        return {"digest": _json(dossier, COVERED).get("policy")}
    model = msgspec.json.decode(dossier.members[POLICY].data, type=ModelSpec)
    values: Values = {f"accepted if {describe(condition)}": "yes" for condition in model.accept}
    values |= {"label": show(model.label.expression), "train": model.train.text, "test": model.test.text}
    values |= {"seed": model.seed, "quantile": model.quantile, "owner": model.owner or None}
    if model.serving is not None:
        values["rollout"] = show_rollout(model.serving.rollout)
        values["rolled back if"] = describe(model.serving.roll_back_if) if model.serving.roll_back_if else None
    if model.retraining is not None:
        values["retrained when"] = describe(model.retraining.when)
        values["approved by"] = model.retraining.approve_by
    return values


def _approvals(dossier: Dossier) -> Values:
    values: Values = {
        "status": _json(dossier, VERSION)["status"],
        "gate passed": _json(dossier, COVERED)["verdict_passed"],
    }
    said = [member.value for name, member in sorted(dossier.members.items()) if name.startswith("approvals/")]
    for number, one in enumerate(said, 1):
        name = one["outcome"] if len(said) == 1 else f"{number}. {one['outcome']}"
        values |= {f"{name} by": one["by"]["id"], f"{name} at": one["at"], f"{name} because": one["because"]}
        values |= {f"{name} against the gate because": one["override"], f"{name} by oneself": one["self_approved"]}
    return values


def _plain(value: Any) -> Value:
    return (
        value if value is None or isinstance(value, int | float | str | bool) else msgspec.json.encode(value).decode()
    )
