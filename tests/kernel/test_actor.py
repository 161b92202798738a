"""Who is one person, and how an actor is told and written."""

import msgspec
import pytest

from trimtab.kernel import Actor, ActorKind, canonical

ALICE, BOB, ROOT = Actor("alice"), Actor("bob"), Actor("root")
SERVICE, PERSON = ActorKind.SERVICE, ActorKind.PERSON


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ALICE, ALICE, True),
        (ALICE, BOB, False),
        (ALICE, ALICE.holding("bob", PERSON), True),  # however the token is called
        (ALICE, ALICE.holding("ci", SERVICE), True),
        (ALICE, ALICE.holding("ops", SERVICE).holding("bob", PERSON), True),  # through a token of a token
        (ALICE.holding("ci", SERVICE), ALICE.holding("web", SERVICE), True),
        (ALICE.holding("ci", SERVICE), ALICE.holding("bob", PERSON), True),
        (ROOT.holding("alice", PERSON), ROOT.holding("bob", PERSON), False),  # an administrator hands out tokens
        (ROOT.holding("alice", PERSON), ROOT, True),
        (ROOT.holding("alice", PERSON), BOB.holding("ci", SERVICE), False),
        (BOB.holding("ci", SERVICE), ROOT.holding("bob", PERSON), True),  # which acts for bob, whoever lets him in
    ],
)
def test_who_is_one_person(one: Actor, other: Actor, same: bool) -> None:
    assert (one.is_same_person(other), other.is_same_person(one)) == (same, same)


def test_an_actor_without_issuers_is_written_as_before_there_were_any() -> None:
    assert canonical(ALICE) == b'{"id":"alice","kind":"person"}'
    held = ALICE.holding("ci", SERVICE)
    assert canonical(held) == b'{"id":"ci","issued_by":["alice"],"kind":"service"}'
    for actor in (ALICE, held):
        assert msgspec.json.decode(msgspec.json.encode(actor), type=Actor) == actor
    assert (str(ALICE), str(held)) == ("alice", "ci (issued by alice)")


def test_the_own_token_of_a_person_is_that_person() -> None:
    assert ALICE.holding("alice", PERSON) == ALICE
