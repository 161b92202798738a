"""Keep an evaluation with what it was measured on, and find it again."""

from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Select, select

from trimtab.evaluation.events import EvaluationSaved
from trimtab.evaluation.records import (
    Comparison,
    Evaluation,
    EvaluationRecord,
    MetricValue,
    Report,
    SavedEvaluation,
    Verdict,
)
from trimtab.evaluation.tables import evaluation_reports
from trimtab.kernel import Invalid, NotFound, canonical, digest_of, is_digest
from trimtab.store import Blobs, Change, Store


class EvaluationMissing(NotFound):
    """No evaluation has this id."""

    code = "evaluation.missing"
    default_why = "Evaluations are named by the id that saving them returned."
    default_next = "trimtab get evaluations"


class EvaluationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some evaluations, newest first, and where the next page begins (None: it was the last)."""

    items: tuple[EvaluationRecord, ...]
    next: str | None = None


def save_evaluation(
    change: Change,
    evaluation: Evaluation,
    *,
    blobs: Blobs,
    model_digest: str,
    dataset_digest: str,
    code_digest: str,
    verdict: Verdict | None = None,
    comparison: Comparison | None = None,
) -> EvaluationRecord:
    """Keep an evaluation, bound to the digests of the model's bytes, of the rows' dataset and of the code.

    The report goes to ``blobs`` under its own digest. The time of measuring is not part of it: the same measurement
    saved again is the same report, returned as it is, and no event is written. Raises ``Invalid`` for an evaluation
    without a time of measuring and for what is not a digest.
    """
    measured_at = evaluation.measured_at
    for name, digest in (("model", model_digest), ("dataset", dataset_digest), ("code", code_digest)):
        if not is_digest(digest):
            raise Invalid(
                f"{digest[:80]!r} is not a digest",
                where=f"save_evaluation: {name}_digest",
                why="An evaluation that is not bound to exact bytes proves nothing about them.",
                next="pass sha256:<64 hex digits>, as digest_of_bytes(...) returns it",
            )
    if measured_at is None:
        raise Invalid(
            "the evaluation has no time of measuring",
            where="save_evaluation",
            why="Nobody could tell later whether it was stale.",
            next="pass measured_at=store.clock.now() to evaluate",
        )
    report = Report(
        model_digest=model_digest, dataset_digest=dataset_digest, code_digest=code_digest,
        evaluation=msgspec.structs.replace(evaluation, measured_at=None), verdict=verdict, comparison=comparison,
    )  # fmt: skip
    digest = blobs.put(canonical(report))
    known = find_evaluation(change.connection, digest=digest)
    if known is not None:
        return known
    id_ = change.new_id()
    event = EvaluationSaved(
        evaluation=id_, report_digest=digest, model_digest=model_digest, dataset_digest=dataset_digest,
        code_digest=code_digest, rows_digest=evaluation.rows, n=evaluation.n, seed=evaluation.seed,
        passed=verdict.passed if verdict else None, verdict_digest=digest_of(verdict) if verdict else None,
        policy_digest=verdict.policy if verdict else None,
    )  # fmt: skip
    record = EvaluationRecord(
        id=id_, digest=digest, model_digest=model_digest, dataset_digest=dataset_digest, code_digest=code_digest,
        rows=evaluation.rows, task=evaluation.task, n=evaluation.n, seed=evaluation.seed, passed=event.passed,
        verdict_digest=event.verdict_digest, policy_digest=event.policy_digest, headline=evaluation.metrics,
        measured_at=measured_at, saved_at=change.at, saved_by=change.actor.id, event_id=change.record(event),
    )  # fmt: skip
    _insert(change, record)
    return record


def get_evaluation(store: Store, id: str) -> SavedEvaluation:
    """Return a saved evaluation, its report read from the blobs and verified. Raises ``EvaluationMissing``."""
    with store.read() as connection:
        record = find_evaluation(connection, id=id)
    if record is None:
        raise EvaluationMissing(f"there is no evaluation {id[:40]!r}", where="evaluation")
    report = read_report(store.blobs, record.digest)
    evaluation = msgspec.structs.replace(report.evaluation, measured_at=record.measured_at)
    return SavedEvaluation(record=record, report=msgspec.structs.replace(report, evaluation=evaluation))


def read_report(blobs: Blobs, digest: str) -> Report:
    """Return the report with this digest; raises what ``Blobs.get`` raises for missing or damaged bytes."""
    return msgspec.json.decode(blobs.get(digest), type=Report)


def list_evaluations(
    store: Store, *, model_digest: str | None = None, limit: int = 50, cursor: str | None = None
) -> EvaluationPage:
    """Return evaluations, newest first, of one model's bytes or of all; ``cursor`` is ``next`` of the page before."""
    query: Select[Any] = select(evaluation_reports).order_by(evaluation_reports.c.id.desc()).limit(limit + 1)
    if model_digest is not None:
        query = query.where(evaluation_reports.c.model_digest == model_digest)
    if cursor is not None:
        query = query.where(evaluation_reports.c.id < cursor)
    with store.read() as connection:
        rows = connection.execute(query).mappings().all()
    items = tuple(_record(row) for row in rows[:limit])
    return EvaluationPage(items=items, next=items[-1].id if len(rows) > limit else None)


def find_evaluation(
    connection: Connection, *, id: str | None = None, digest: str | None = None
) -> EvaluationRecord | None:
    """Return the record with this id or report digest, inside a transaction or a read."""
    column, wanted = (evaluation_reports.c.id, id) if id is not None else (evaluation_reports.c.digest, digest)
    row = connection.execute(select(evaluation_reports).where(column == wanted)).mappings().one_or_none()
    return _record(row) if row else None


def _insert(change: Change, record: EvaluationRecord) -> None:
    row = msgspec.structs.asdict(record) | {
        "headline": msgspec.json.encode(record.headline).decode(),
        "measured_at": record.measured_at.isoformat(),
        "saved_at": record.saved_at.isoformat(),
    }
    row["rows_digest"] = row.pop("rows")
    change.insert(evaluation_reports, row)


def _record(row: RowMapping) -> EvaluationRecord:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    values["rows"] = values.pop("rows_digest")
    values["headline"] = msgspec.json.decode(values["headline"], type=dict[str, MetricValue])
    return msgspec.convert(values, EvaluationRecord)
