"""Enter a trained model in the registry, bound to the digests of everything that it was made from."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import func, insert, select

from trimtab.evaluation import EvaluationRecord, find_evaluation
from trimtab.kernel import ActorKind, is_digest
from trimtab.registry.errors import NotRegistrable
from trimtab.registry.events import ModelAdded, VersionRegistered
from trimtab.registry.records import Lineage, ModelArtifacts, Status, Version, check_model_name
from trimtab.registry.rows import has_model, newest_number, text_of, version_of
from trimtab.registry.tables import registry_models, registry_versions
from trimtab.store import Change

NO_PARAMS: Mapping[str, Any] = {}


def register_version(
    change: Change,
    *,
    model: str,
    artifacts: ModelArtifacts,
    lineage: Lineage,
    params: Mapping[str, Any] = NO_PARAMS,
    evaluation_id: str | None = None,
    task: Literal["classification", "regression"] | None = None,
    approve_by: str | None = None,
    other_than_author: bool = False,
    expires_s: float | None = None,
    owner: str = "",
    description: str = "",
) -> Version:
    """Register a version under the next number of ``model``, which comes into being with its first one.

    What was registered before, with every digest the same, is returned as it is, and no event is written.
    ``evaluation_id`` is a saved evaluation of the same model bytes; without one the version can be approved only
    against its gate. ``other_than_author`` keeps whoever made it from approving it, and an approval holds for
    ``expires_s`` seconds. Raises ``NotRegistrable`` for what
    is no digest, or for an evaluation of other bytes.
    """
    check_model_name(model, where="register_version: model")
    _check_digests(artifacts, lineage)
    evaluation = _evaluation(change, evaluation_id, artifacts)
    _keep_others_out(change, model)
    # The order in which snapshots were taken says nothing about the model.
    lineage = msgspec.structs.replace(lineage, data=tuple(sorted(lineage.data)))
    version = Version(
        model=model, number=newest_number(change.connection, model) + 1, status=Status.CANDIDATE, artifacts=artifacts,
        lineage=lineage, params=dict(params), task=evaluation.task if evaluation else task,
        evaluation_id=evaluation.id if evaluation else None, evaluation=evaluation.digest if evaluation else None,
        verdict=evaluation.verdict_digest if evaluation else None,
        verdict_passed=evaluation.passed if evaluation else None, covered="", approve_by=approve_by,
        other_than_author=other_than_author, expires_s=expires_s, description=description, registered_at=change.at,
        registered_by=change.actor, event_id="",
    )  # fmt: skip
    covered = version.covers().digest
    known = _known(change, model, covered)
    if known is not None:
        return known
    _add_model(change, model, owner=owner, description=description)
    return _insert(change, msgspec.structs.replace(version, covered=covered))


def _insert(change: Change, version: Version) -> Version:
    lineage = version.lineage
    event_id = change.record(
        VersionRegistered(
            model=version.model, number=version.number, covered=version.covered, artifact=version.artifacts.model,
            format=version.artifacts.format, evaluation_id=version.evaluation_id, evaluation=version.evaluation,
            verdict_passed=version.verdict_passed, run_id=lineage.run_id, pipeline_run_id=lineage.pipeline_run_id,
        )
    )  # fmt: skip
    version = msgspec.structs.replace(version, event_id=event_id)
    change.execute(
        insert(registry_versions).values(
            model=version.model, number=version.number, status=version.status.value, covered=version.covered,
            artifact=version.artifacts.model, person=_person(version), record=text_of(version),
        )
    )  # fmt: skip
    return version


def _person(version: Version) -> str | None:
    by = version.registered_by
    return version.lineage.trained_by or (by.id if by.kind is ActorKind.PERSON else None)


def _keep_others_out(change: Change, model: str) -> None:
    """Let nobody else number this model's versions until the end of the transaction. SQLite has one writer anyway."""
    if change.connection.dialect.name == "postgresql":
        key = func.hashtextextended(f"registry.{model}", 0)
        change.connection.execute(select(func.pg_advisory_xact_lock(key)))


def _add_model(change: Change, model: str, *, owner: str, description: str) -> None:
    if has_model(change.connection, model):
        return
    row = {
        "name": model, "owner": owner, "description": description, "added_at": change.at.isoformat(),
        "added_by": change.actor.id,
    }  # fmt: skip
    change.insert(registry_models, row)
    change.record(ModelAdded(model=model))


def _known(change: Change, model: str, covered: str) -> Version | None:
    query = select(registry_versions.c.status, registry_versions.c.record).where(
        registry_versions.c.model == model, registry_versions.c.covered == covered
    )
    row = change.connection.execute(query).one_or_none()
    return version_of(row.status, row.record) if row else None


def _evaluation(change: Change, evaluation_id: str | None, artifacts: ModelArtifacts) -> EvaluationRecord | None:
    if evaluation_id is None:
        return None
    found = find_evaluation(change.connection, id=evaluation_id)
    if found is None:
        raise NotRegistrable(
            f"there is no evaluation {evaluation_id[:40]!r}", where="register_version: evaluation_id",
            next="save the evaluation first: save_evaluation(...)",
        )  # fmt: skip
    measured = {artifacts.model, *(one.digest for one in artifacts.also)}
    if found.model_digest not in measured:
        raise NotRegistrable(
            f"evaluation {found.id} is of other bytes: {found.model_digest[:19]}…, not {artifacts.model[:19]}…",
            where="register_version: evaluation_id",
        )
    return found


def _check_digests(artifacts: ModelArtifacts, lineage: Lineage) -> None:
    needed = [
        ("artifacts.model", artifacts.model), ("artifacts.signature", artifacts.signature),
        ("lineage.code", lineage.code), ("lineage.environment", lineage.environment),
        *((f"artifacts.also[{one.format}]", one.digest) for one in artifacts.also),
        *((f"lineage.data[{i}]", digest) for i, digest in enumerate(lineage.data)),
    ]  # fmt: skip
    optional = [
        ("artifacts.sample", artifacts.sample), ("lineage.features", lineage.features),
        ("lineage.policy", lineage.policy),
    ]  # fmt: skip
    for name, digest in (*needed, *((name, digest) for name, digest in optional if digest is not None)):
        if not is_digest(digest):
            raise NotRegistrable(f"{digest[:80]!r} is not a digest", where=f"register_version: {name}")
