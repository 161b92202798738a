"""The ledger at an earlier size: one signed checkpoint, and a proof for each event under it."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.forging import by_sql

from trimtab.kernel import NotFound
from trimtab.store import (
    Checkpoint,
    PublicKey,
    RowsDamaged,
    Store,
    inclusion_proof,
    inclusion_proofs,
    ledger_root,
    ledger_size,
    signed_prefix,
)

SIZE = 700


def test_every_event_is_proved_under_one_checkpoint(store: Store, fill: Callable) -> None:
    fill(store, SIZE, each=100)
    signed = signed_prefix(store, 600)
    proofs = inclusion_proofs(store, [599, 0, 255, 256, 511, 300, 300], signed=signed)
    assert [proof.position for proof in proofs] == [0, 255, 256, 300, 511, 599]
    assert all(proof.holds(key=signed.key) for proof in proofs)
    assert {proof.size for proof in proofs} == {600}
    assert Checkpoint.parse(signed.note).root == ledger_root(store, size=600)


def test_the_same_size_gives_the_same_bytes_however_long_the_ledger_grew(store: Store, fill: Callable) -> None:
    fill(store, 300, each=100)
    before = signed_prefix(store)
    fill(store, 400, each=100)
    assert before.size == 300
    assert signed_prefix(store, 300) == before
    assert ledger_size(store) == SIZE
    assert PublicKey.parse(before.key).signed(before.note) is True


def test_a_size_that_never_was(sqlite_store: Store, fill: Callable) -> None:
    fill(sqlite_store, 5)
    for size in (0, 6, -1):
        with pytest.raises(NotFound):
            signed_prefix(sqlite_store, size)


@pytest.mark.parametrize("table", ["ledger_events SET leaf", "ledger_tiles SET root"])
def test_another_history_is_not_signed(store: Store, fill: Callable, table: str) -> None:
    fill(store, SIZE, each=100)
    where = "position = 300" if "events" in table else "number = 0"
    by_sql(store, f"UPDATE {table} = :other WHERE {where}", other=bytes(32))
    with pytest.raises(RowsDamaged):
        signed_prefix(store, 500)


def test_an_event_whose_body_was_changed_is_not_proved(store: Store, fill: Callable) -> None:
    fill(store, 50)
    signed = signed_prefix(store)
    by_sql(store, "UPDATE ledger_events SET body = replace(body, 'filling', 'x') WHERE position = 7")
    with pytest.raises(RowsDamaged, match="event 7 is not"):
        inclusion_proofs(store, [7], signed=signed)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Store:
    from tests.store.conftest import ThingMade

    from trimtab.kernel import Actor, Settings
    from trimtab.store import open_store

    store = open_store(Settings(home=str(tmp_path_factory.mktemp("grown"))))
    with store.change(Actor("tester"), "filling") as change:
        for n in range(SIZE):
            change.record(ThingMade(thing=f"thing-{n}", n=n))
    return store


@given(data=st.data(), size=st.integers(1, SIZE))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_many_proofs_are_the_proofs_one_by_one(grown: Store, data: st.DataObject, size: int) -> None:
    positions = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8))
    signed = signed_prefix(grown, size)
    for proof in inclusion_proofs(grown, positions, signed=signed):
        assert proof.path == inclusion_proof(grown, proof.position, size=size).path
        assert proof.holds(key=signed.key)
