"""Saved evaluations: bound to bytes, found again, verified when read, and never written twice."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from tests.evaluation.cases import NOW, measured, rows

from trimtab.declare import Condition, Metric, Threshold
from trimtab.evaluation import (
    EvaluationMissing,
    EvaluationRecord,
    compare,
    get_evaluation,
    judge,
    list_evaluations,
    routes,
    save_evaluation,
)
from trimtab.evaluation.tables import evaluation_reports
from trimtab.kernel import Actor, Call, Invalid, NotFound, VirtualClock, digest_of_bytes
from trimtab.store import Damaged, Store

MODEL = digest_of_bytes(b"model")
DATA = digest_of_bytes(b"data")
CODE = digest_of_bytes(b"code")
ACCEPT = (Condition(left=Metric(name="auc"), op=">=", right=Threshold(value=0.6)),)


def save(store: Store, actor: Actor, **changes: Any) -> EvaluationRecord:
    found = measured()
    values = {
        "evaluation": found, "blobs": store.blobs, "model_digest": MODEL, "dataset_digest": DATA, "code_digest": CODE,
        "verdict": judge(ACCEPT, candidate=found, now=NOW),
    }  # fmt: skip
    with store.change(actor, "test") as change:
        return save_evaluation(change, **(values | changes))


def test_what_was_saved_is_read_back(store: Store, actor: Actor) -> None:
    y, p, _ = rows()
    both = compare(task="classification", y=y, champion=p, challenger=p, resamples=20)
    record = save(store, actor, comparison=both)
    saved = get_evaluation(store, record.id)
    assert saved.record == record
    assert saved.report.evaluation == measured()
    assert saved.report.comparison == both
    assert saved.report.verdict is not None
    assert saved.report.verdict.passed
    assert (record.passed, record.saved_by, record.n) == (True, "tester", 400)
    assert record.headline == measured().metrics


def test_the_same_measurement_is_saved_once(store: Store, actor: Actor, clock: VirtualClock) -> None:
    first = save(store, actor)
    clock.sleep(3600)
    later = msgspec.structs.replace(measured(), measured_at=NOW + timedelta(hours=1))
    assert save(store, actor, evaluation=later) == first
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(evaluation_reports)).scalar_one() == 1


@pytest.mark.parametrize("changed", ["model_digest", "dataset_digest", "code_digest"])
def test_other_bytes_are_another_evaluation(store: Store, actor: Actor, changed: str) -> None:
    first = save(store, actor)
    second = save(store, actor, **{changed: digest_of_bytes(b"other")})
    assert (second.id, second.digest) > (first.id, "")
    assert second.digest != first.digest


@pytest.mark.parametrize("name", ["model_digest", "dataset_digest", "code_digest"])
def test_an_evaluation_is_bound_to_digests(sqlite_store: Store, actor: Actor, name: str) -> None:
    with pytest.raises(Invalid, match="is not a digest"):
        save(sqlite_store, actor, **{name: "v1"})
    assert list_evaluations(sqlite_store).items == ()


def test_an_evaluation_without_a_time_is_not_saved(sqlite_store: Store, actor: Actor) -> None:
    with pytest.raises(Invalid, match="no time of measuring"):
        save(sqlite_store, actor, evaluation=msgspec.structs.replace(measured(), measured_at=None))


def test_a_changed_report_is_damaged(sqlite_store: Store, actor: Actor) -> None:
    record = save(sqlite_store, actor)
    path = sqlite_store.blobs.local_path(record.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"auc"', b'"auk"'))
    with pytest.raises(Damaged):
        get_evaluation(sqlite_store, record.id)


def test_pages_go_from_the_newest(store: Store, actor: Actor) -> None:
    saved = [save(store, actor, model_digest=digest_of_bytes(bytes([i]))).id for i in range(5)]
    first = list_evaluations(store, limit=2)
    second = list_evaluations(store, limit=2, cursor=first.next)
    third = list_evaluations(store, limit=2, cursor=second.next)
    assert [one.id for page in (first, second, third) for one in page.items] == saved[::-1]
    assert third.next is None
    of_one = list_evaluations(store, model_digest=digest_of_bytes(bytes([3])))
    assert [one.id for one in of_one.items] == [saved[3]]


def test_routes_answer_the_same(sqlite_store: Store, actor: Actor) -> None:
    record = save(sqlite_store, actor)
    listing, one = (route.handler for route in routes(sqlite_store))
    assert listing(Call(actor=actor)).items == (record,)
    assert listing(Call(actor=actor, query={"model_digest": CODE})).items == ()
    assert one(Call(actor=actor, path={"id": record.id})).record == record
    with pytest.raises(EvaluationMissing) as raised:
        one(Call(actor=actor, path={"id": "01JX"}))
    assert isinstance(raised.value, NotFound)
    for limit in ("0", "501", "x", "-1", "²"):
        with pytest.raises(Invalid, match="A page holds 1 to 500 items"):
            listing(Call(actor=actor, query={"limit": limit}))
