"""Mistakes in calls from Python, on SQLite and on PostgreSQL: each changes nothing, whatever was begun before it."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import insert
from tests.mistakes.answers import Mistake, check, check_store_is_whole
from tests.mistakes.standing import unchanged
from tests.registry.cases import ANN, BOB, approved, artifacts, lineage, registered

from trimtab.data import take_snapshot
from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec
from trimtab.kernel import TrimtabError
from trimtab.pipelines import PipelineSpec, StepSpec, submit
from trimtab.registry import approve, register_version, reject, release_for, set_alias
from trimtab.server.tokens import issue_token, revoke_token
from trimtab.serving import RegisteredReleases, Routing, get_endpoint, set_routing
from trimtab.store import Change, Store
from trimtab.store.tables import ledger_subjects

STEP = StepSpec(name="one", function="tests.nothing:one")
WEATHER = SourceSpec(
    name="weather",
    function="weather",
    where="flights.py:20",
    contract=ContractSpec(
        name="Weather",
        where="flights.py:10",
        fields=(
            FieldSpec(name="origin", kind=FieldKind.KEY, where="flights.py:11"),
            FieldSpec(name="at", kind=FieldKind.EVENT_TIME, where="flights.py:12"),
        ),
    ),
)

Verb = Callable[[Store], object]


def changing(verb: Callable[[Change, Store], object], because: str = "") -> Verb:
    """Call a verb inside a change of its own, after other rows were written in it."""

    def run(store: Store) -> None:
        with store.change(BOB, because) as change:
            issue_token(change, "first", may=["read"])
            verb(change, store)

    return run


def register(*, model: str = "late", evaluation_id: str | None = None, **made_from: Any) -> Verb:
    def run(change: Change, store: Store) -> None:
        register_version(
            change,
            model=model,
            artifacts=artifacts(store),
            lineage=lineage(store, **made_from),
            evaluation_id=evaluation_id,
        )

    return changing(run)


def snapshot(**columns: list[Any]) -> Verb:
    return lambda store: take_snapshot(store, WEATHER, {"weather": lambda: pa.table(columns)}, actor=ANN, because="x")


def nested(_change: Change, store: Store) -> None:
    with store.change(BOB, "x"):
        pass


def without_event(store: Store) -> None:
    with store.change(BOB, "x") as change:
        change.execute(insert(ledger_subjects).values(position=99, kind="row", id="of nobody"))


def state_in_a_journal(store: Store) -> None:
    with store.journal() as journal:
        journal.execute(insert(ledger_subjects).values(position=99, kind="row", id="of nobody"))


def the_same_key(store: Store) -> None:
    with store.change(BOB, "x", key="once") as change:
        issue_token(change, "second", may=["read"])


MISTAKES: dict[str, tuple[Verb, Mistake]] = {
    "approving twice": (
        changing(lambda c, _: approve(c, "late@1"), "x"), Mistake("late@1 is approved", "late@1", "get models late"),
    ),
    "approving against the gate": (
        changing(lambda c, _: approve(c, "late@2"), "x"), Mistake("did not pass its gate", "late@2", "--override"),
    ),
    "approving without a reason": (
        changing(lambda c, _: approve(c, "late@2", override="y")), Mistake("no reason", "approve late@2", "--because"),
    ),
    "approving what is not there": (
        changing(lambda c, _: approve(c, "late@9"), "x"), Mistake("no version late@9", "late@9", "get models late"),
    ),
    "rejecting the champion": (
        changing(lambda c, _: reject(c, "late@1"), "x"), Mistake("is the champion", "late@1", "trimtab serve late"),
    ),
    "a candidate as champion": (
        changing(lambda c, _: set_alias(c, "late@2", "champion"), "x"),
        Mistake("cannot become the champion", "late@2", "trimtab approve late@2"),
    ),
    "a release of a candidate": (
        lambda store: release_for(store, "late@2"), Mistake("is not released", "late@2", "trimtab approve late@2")
    ),
    "a version with a digest that is none": (
        register(code="main"), Mistake("'main' is not a digest", "lineage.code", "train and evaluate again")
    ),
    "a version judged by nothing": (
        register(evaluation_id="none"), Mistake("no evaluation 'none'", "evaluation_id", "save the evaluation first")
    ),
    "a model without a usable name": (
        register(model="late model"), Mistake("'late model' cannot name a model", "register_version", "late@3"),
    ),
    "a candidate behind an endpoint": (
        changing(lambda c, s: set_routing(
            c, Routing(endpoint="late", model="late", champion=2), releases=RegisteredReleases(s)
        ), "x"),
        Mistake("late@2", "version late@2", "trimtab approve late@2"),
    ),
    "an endpoint that is not there": (
        lambda store: get_endpoint(store, "early"), Mistake("no endpoint 'early'", "serving", "trimtab get endpoints")
    ),
    "a snapshot of nothing": (
        snapshot(origin=[], at=[]), Mistake("gave no rows", "flights.py:20", "look at what the source reads")
    ),
    "a snapshot without a column": (
        snapshot(origin=["EWR"]), Mistake("no column at", "flights.py:12 contract Weather.at", "add at")
    ),
    "a snapshot of the future": (
        snapshot(origin=["EWR"], at=["2044-01-01T00:00:00Z"]), Mistake("lie after now", "flights.py:12", "the clock")
    ),
    "a pipeline that needs itself": (
        lambda store: submit(store, PipelineSpec(name="p", steps=(STEP, STEP)), actor=ANN), Mistake("one", "p", "")
    ),
    "a key that stands for another run": (
        lambda store: submit(store, PipelineSpec(name="p", steps=(STEP,)), {"n": 2}, actor=ANN, key="k"),
        Mistake("the key 'k' stands for run", "pipelines.submit", "submit with another key"),
    ),
    "a token without a usable name": (
        changing(lambda c, _: issue_token(c, "a b", may=["read"])),
        Mistake("cannot be the name", "tokens", "trimtab token create"),
    ),
    "a token that is not there": (
        changing(lambda c, _: revoke_token(c, "none")), Mistake("there is no token", "tokens", "trimtab get tokens")
    ),
    "a change in a change": (changing(nested), Mistake("inside another one", "store.change", "pass the outer")),
    "a change that says nothing": (without_event, Mistake("recorded no event", "table", "change.record")),
    "state in a journal": (state_in_a_journal, Mistake("tried to write state", "table", "change.record")),
    "a change that was made before": (the_same_key, Mistake("'once' was made before", "ledger", "nothing needs")),
}  # fmt: skip


@pytest.fixture
def used(store: Store) -> Store:
    """A store with a champion and a candidate that did not pass its gate."""
    approved(store)
    registered(store, model=b"model 2", passes=False)
    with store.change(BOB, "the first") as change:
        set_alias(change, "late@1", "champion")
    with store.change(BOB, "once", key="once") as change:
        issue_token(change, "ci", may=["read"])
    submit(store, PipelineSpec(name="p", steps=(STEP,)), {"n": 1}, actor=ANN, key="k")
    artifacts(store, model=b"model 3")
    return store


@pytest.mark.parametrize(("verb", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_changes_nothing(used: Store, verb: Verb, expected: Mistake) -> None:
    with unchanged(used), pytest.raises(TrimtabError) as caught:
        verb(used)
    check(caught.value.parts(), expected)
    check_store_is_whole(used)


def test_a_fault_in_the_middle_of_a_change_changes_nothing(used: Store) -> None:
    def fail(change: Change, _: Store) -> None:
        approve(change, "late@2", override="why not")
        raise ZeroDivisionError

    with unchanged(used), pytest.raises(ZeroDivisionError):
        changing(fail, "x")(used)
    check_store_is_whole(used)
