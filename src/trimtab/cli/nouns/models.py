"""Models, their versions and evaluations."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun
from trimtab.cli.output import Column, columns_of
from trimtab.cli.session import Session
from trimtab.evaluation import EvaluationRecord, get_evaluation, list_evaluations
from trimtab.registry import Model, Version, all_models, all_versions, get_model, get_version, list_models


def _models(session: Session, asked: Asked) -> Any:
    if asked.name:
        return session.ask(get_model, asked.name)
    return list(session.ask(list_models, limit=asked.limit).items)


def _versions(session: Session, asked: Asked) -> Any:
    if "@" in asked.name:
        return session.ask(get_version, asked.name)
    names = [asked.name] if asked.name else [model.name for model in session.ask(all_models)]
    found = (version for name in names for version in session.ask(all_versions, name))
    return list(islice(found, asked.limit))


def _evaluations(session: Session, asked: Asked) -> Any:
    if asked.name:
        return session.ask(get_evaluation, asked.name)
    return list(session.ask(list_evaluations, limit=asked.limit).items)


def _aliases(model: Model) -> str:
    return ", ".join(f"{alias} @{number}" for alias, number in sorted(model.aliases.items()))


def _gate(version: Version) -> str:
    return _gate_of(version.verdict_passed)


def _gate_of(passed: bool | None) -> str:
    return {True: "passed", False: "failed", None: "not judged"}[passed]


def _model_facts(model: Model) -> list[tuple[str, Any]]:
    return [
        ("model", model.name), ("versions", model.versions), ("aliases", _aliases(model) or "-"),
        ("owner", model.owner or "-"), ("description", model.description or "-"),
        ("added", f"{model.added_at:%Y-%m-%d %H:%M:%S} by {model.added_by}"),
    ]  # fmt: skip


def _version_facts(version: Version) -> list[tuple[str, Any]]:
    made_from = version.lineage
    return [
        ("version", version.ref), ("status", version.status.value), ("gate", _gate(version)),
        ("params", version.params or "-"), ("model", f"{version.artifacts.model} ({version.artifacts.format})"),
        ("data", "\n".join(made_from.snapshots or made_from.data)),
        ("features", f"{made_from.view or '-'} {made_from.features or ''}".strip()), ("code", made_from.code),
        ("environment", made_from.environment), ("evaluation", version.evaluation_id),
        ("run", made_from.run_id), ("pipeline run", made_from.pipeline_run_id), ("covered", version.covered),
        ("registered", f"{version.registered_at:%Y-%m-%d %H:%M:%S} by {version.registered_by}"),
    ]  # fmt: skip


def _evaluation_columns(found: Sequence[EvaluationRecord]) -> list[Column]:
    """Return the columns of the CSV: one for each metric, and two for its interval."""

    def parts(record: EvaluationRecord) -> dict[str, float | None]:
        return {
            name if part == "value" else f"{name}.{part}": getattr(measured, part)
            for name, measured in record.headline.items()
            for part in ("value", "low", "high")
        }

    first = [
        Column("EVALUATION", lambda e: e.id), Column("TASK", lambda e: e.task), Column("ROWS", lambda e: e.n),
        Column("GATE", lambda e: _gate_of(e.passed)), Column("SAVED", lambda e: e.saved_at),
        Column("BY", lambda e: e.saved_by), Column("MODEL DIGEST", lambda e: e.model_digest),
    ]  # fmt: skip
    return first + columns_of(found, parts, "metrics")


_NO_MODEL = "No model yet. Log one, or declare one and apply it:\n  run.log_model(model, sample=X)\n  trimtab apply"

NOUNS = {
    "models": Noun(
        find=_models,
        columns=[
            Column("MODEL", lambda m: m.name), Column("VERSIONS", lambda m: m.versions, number=True),
            Column("ALIASES", _aliases), Column("OWNER", lambda m: m.owner or None),
            Column("ADDED", lambda m: m.added_at),
        ],
        empty=_NO_MODEL,
        facts=_model_facts,
        past=past.models,
    ),
    "versions": Noun(
        find=_versions,
        columns=[
            Column("VERSION", lambda v: v.ref), Column("STATUS", lambda v: v.status.value), Column("GATE", _gate),
            Column("FORMAT", lambda v: v.artifacts.format), Column("REGISTERED", lambda v: v.registered_at),
            Column("BY", lambda v: v.registered_by.id), Column("MODEL DIGEST", lambda v: v.artifacts.model, brief=True),
        ],
        empty=_NO_MODEL,
        facts=_version_facts,
        past=past.versions,
    ),
    "evaluations": Noun(
        find=_evaluations,
        csv_columns=_evaluation_columns,
        columns=[
            Column("EVALUATION", lambda e: e.id), Column("TASK", lambda e: e.task),
            Column("ROWS", lambda e: e.n, number=True), Column("GATE", lambda e: _gate_of(e.passed)),
            Column("SAVED", lambda e: e.saved_at), Column("BY", lambda e: e.saved_by),
            Column("MODEL DIGEST", lambda e: e.model_digest, brief=True),
        ],
        empty="No evaluation yet:\n  trimtab apply",
        past=past.evaluations,
    ),
}  # fmt: skip
