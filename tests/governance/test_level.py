"""Maturity by facts: which level, which events prove each check, and which step is the cheapest."""

import pytest
from tests.registry.cases import registered

from trimtab.governance import Check, Maturity, level, levels
from trimtab.governance.level import UNJUDGED
from trimtab.kernel import SYSTEM, Actor, ActorKind, NotFound
from trimtab.loop import DeclarationApplied
from trimtab.store import Store, event_at, events, ledger_size


@pytest.fixture(scope="module")
def found(lived: Store) -> Maturity:
    return level(lived, "slow")


def check(found: Maturity, start: str) -> Check:
    return next(one for one in found.checks if one.name.startswith(start))


def test_the_level_that_is_reached(found: Maturity) -> None:
    assert (found.level, found.version, found.unjudged) == (0, "slow@1", UNJUDGED)
    assert all(one.met for one in found.checks if one.level == 0)
    for start in ("data is validated", "the model is validated", "training is a pipeline", "metadata", "features come"):
        assert check(found, start).met
    assert not check(found, "training is continuous").met


def test_each_check_is_proved_by_events_that_are_there(lived: Store, found: Maturity) -> None:
    for one in found.checks:
        assert one.met == bool(one.proof)
        assert one.met or (one.why and one.next)
        for proof in one.proof:
            event = event_at(lived, proof.position)
            assert (event.id, event.type) == (proof.event, proof.type)


def test_the_next_step_is_the_cheapest_of_the_lowest_level(found: Maturity) -> None:
    step = found.next
    assert step is not None
    assert (step.level, step.met) == (1, False)
    missing = [one for one in found.checks if one.level == 1 and not one.met]
    assert step.effort == min(one.effort for one in missing)
    assert "MODEL" not in step.next


def test_it_is_a_projection_of_the_ledger(lived: Store) -> None:
    """Level 0 is reached with the first sealed decisions, and not an event earlier."""
    sealed = events(lived, type="serving.decisions-sealed")[0].position
    assert level(lived, "slow", position=sealed).level == 0
    before = level(lived, "slow", position=sealed - 1)
    assert (before.level, before.position) == (None, sealed - 1)
    assert [one.name for one in before.checks if one.level == 0 and not one.met] == ["its answers are kept"]
    entered = events(lived, type="registry.version-registered")[0].position
    assert level(lived, "slow", position=entered).next.name == "it answers at an endpoint, under a signed release"
    with pytest.raises(NotFound):
        level(lived, "slow", position=0)
    assert levels(lived, position=0) == ()
    assert [one.model for one in levels(lived)] == ["slow"]


def test_a_declaration_that_a_service_applied(store: Store) -> None:
    registered(store, evaluation_id=None)
    digest = "sha256:" + "0" * 64
    with store.change(SYSTEM, "replayed") as change:
        change.record(DeclarationApplied(project="flights", kind="model", name="late", digest=digest))
    assert not check(level(store, "late"), "the pipeline is delivered").met
    with store.change(Actor("ci", ActorKind.SERVICE), "merged") as change:
        change.record(DeclarationApplied(project="flights", kind="model", name="late", digest=digest))
    found = check(level(store, "late"), "the pipeline is delivered")
    assert [one.position for one in found.proof] == [ledger_size(store) - 1]
    assert level(store, "late").level is None


def test_a_model_that_is_not_there(store: Store) -> None:
    assert levels(store) == ()
    with pytest.raises(NotFound, match="there is no model 'late'"):
        level(store, "late")
