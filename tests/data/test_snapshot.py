"""A snapshot is immutable, named after its values, found again, and verified when read."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from trimtab.data import (
    ContractBroken,
    SnapshotMissing,
    TooNew,
    get_snapshot,
    known_delay,
    latest_snapshot,
    list_snapshots,
    list_sources,
    load_snapshot,
    page_after,
    set_aside_rows,
    take_snapshot,
)
from trimtab.data.content import content_digest, to_parquet
from trimtab.declare import ContractSpec, FieldKind, FieldSpec
from trimtab.kernel import Call, Invalid
from trimtab.store import Damaged
from trimtab.store.tables import ledger_events


@pytest.fixture
def take(store, source, actor, table):
    def taken(given=None, of=source):
        return take_snapshot(store, of, {"weather": lambda: table() if given is None else given}, actor=actor)

    return taken


def events(store):
    store.sequence()
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(ledger_events)).scalar_one()


def test_taken_kept_and_read_again(store, take, table, clock):
    temps = [500.0, *[30.0 + n for n in range(7)]]
    taken = take(table(temp=temps).append_column("extra", pa.nulls(8)))
    assert taken.rows == 7
    assert taken.set_aside_rows == 1
    assert taken.extra_columns == ("extra",)
    assert taken.id.startswith("snap_")
    assert len(taken.id) == 25
    assert taken.taken_at == clock.now()
    assert taken.profile.column("temp").max == 36.0
    assert taken.types["at"] == "timestamp[us, tz=UTC]"
    assert get_snapshot(store, taken.id) == taken
    assert latest_snapshot(store, "weather") == taken
    rows = load_snapshot(store, taken.id)
    assert rows.column("temp").to_pylist() == temps[1:]
    assert {name: str(type_) for name, type_ in zip(rows.column_names, rows.schema.types, strict=True)} == taken.types
    aside = set_aside_rows(store, taken)
    assert aside.column("reason").to_pylist() == ["temp 500, promised -20 to 120"]
    assert set_aside_rows(store, taken, limit=5, offset=1).num_rows == 0


def test_the_same_data_is_the_same_snapshot_and_no_second_event(store, take, clock):
    first = take()
    count = events(store)
    clock.sleep(3600)
    assert take() == first
    assert events(store) == count
    assert set_aside_rows(store, first).num_rows == 0


def test_many_who_find_the_same_at_once_say_it_once(store, take):
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: take(), range(6)))
    assert len({snapshot.id for snapshot in taken}) == 1
    assert events(store) == 1


def test_a_source_may_return_to_an_earlier_state(store, take, table, clock):
    first = take()
    clock.sleep(1)
    second = take(table(temp=[1.0] * 8))
    clock.sleep(1)
    assert second.id != first.id
    assert latest_snapshot(store, "weather") == second
    assert take() == first
    assert latest_snapshot(store, "weather") == first
    assert events(store) == 3
    assert [s.id for s in list_snapshots(store, "weather").items] == [second.id, first.id]
    assert list_sources(store) == (first,)


def test_one_value_a_null_or_the_contract_makes_another_snapshot(take, table, source, weather):
    ids = {take().id}
    ids.add(take(table(temp=[0.0, *[30.0 + n for n in range(1, 8)]])).id)
    ids.add(take(table(temp=[None, *[30.0 + n for n in range(1, 8)]])).id)
    ids.add(take(table().take([1, 0, 2, 3, 4, 5, 6, 7])).id)
    import msgspec

    fields = tuple(msgspec.structs.replace(field, where="elsewhere.py:1") for field in weather.fields)
    moved = msgspec.structs.replace(source, contract=ContractSpec(name="Weather", fields=fields, where="elsewhere.py"))
    assert take(of=moved).id in ids  # where a contract stands is no part of what it promises
    wider = (*weather.fields[:2], msgspec.structs.replace(weather.fields[2], high=130), weather.fields[3])
    ids.add(take(of=msgspec.structs.replace(source, contract=ContractSpec(name="Weather", fields=wider))).id)
    ids.add(take(of=msgspec.structs.replace(source, name="other")).id)
    assert len(ids) == 6


def test_nothing_is_written_when_the_contract_is_broken_or_all_is_future(store, take, table, source, clock):
    import msgspec

    with pytest.raises(ContractBroken):
        take(table(temp=[500.0] * 6 + [1.0] * 2))
    late = [clock.now() + timedelta(hours=hour + 1) for hour in range(8)]
    with pytest.raises(TooNew):
        take(table(at=late))
    assert events(store) == 0
    assert list_snapshots(store).items == ()
    assert not list((store.settings.home_path / "blobs").rglob("*.*"))
    half = take(table(at=[clock.now() + timedelta(hours=hour - 3) for hour in range(8)]))
    assert half.future_rows == 4
    assert msgspec.json.decode(msgspec.json.encode(half), type=type(half)) == half


def test_snapshots_are_listed_in_pages(store, take, table, clock):
    taken = []
    for number in range(5):
        taken.append(take(table(temp=[float(number)] * 8)).id)
        clock.sleep(number % 2)  # some at the same moment
    seen, cursor = [], None
    while True:
        page = list_snapshots(store, limit=2, cursor=cursor)
        seen += [snapshot.id for snapshot in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == sorted(taken)
    assert len(seen) == 5
    found = [get_snapshot(store, id_) for id_ in seen]
    for one, before in pairwise(found):
        assert list_snapshots(store, limit=1, cursor=page_after(one)).items == (before,)
    assert list_snapshots(store, cursor=page_after(found[-1])).items == ()
    with pytest.raises(Invalid, match="cursor"):
        list_snapshots(store, cursor="nonsense")


def test_an_unknown_snapshot_says_so(store):
    with pytest.raises(SnapshotMissing):
        load_snapshot(store, "snap_nothing")
    assert latest_snapshot(store, "nothing") is None


def test_a_changed_file_is_not_read(sqlite_store, source, actor, table):
    taken = take_snapshot(sqlite_store, source, {"weather": table}, actor=actor)
    path = sqlite_store.blobs.local_path(taken.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged):
        load_snapshot(sqlite_store, taken)


def test_the_digest_covers_values_and_nothing_of_their_layout(table, weather):
    from trimtab.data import check

    whole = check(weather, table(temp=[None, *[1.0] * 7], sky=[None, *["clear"] * 7])).kept
    parts = pa.concat_tables([whole.slice(0, 3), whole.slice(3)])
    assert content_digest(parts) == content_digest(whole)
    assert content_digest(whole.slice(1)) == content_digest(pa.concat_tables([whole.slice(1, 2), whole.slice(3)]))
    assert to_parquet(parts.combine_chunks()) == to_parquet(whole.combine_chunks())
    assert content_digest(whole.rename_columns(["origin", "at", "temp", "skies"])) != content_digest(whole)


columns = st.tuples(
    st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=4, max_size=4),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False), st.integers(0, 2).map(float)), min_size=4, max_size=4),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=4, max_size=4),
    st.lists(st.one_of(st.none(), st.integers(-2, 2)), min_size=4, max_size=4),
)
types = (pa.string(), pa.float64(), pa.bool_(), pa.timestamp("us", tz="UTC"))


@given(columns, columns, st.booleans())
def test_equal_values_and_only_they_have_equal_digests(first, second, same):
    second = first if same else second
    left, right = (
        pa.table({str(t): pa.array(c, t) for c, t in zip(made, types, strict=True)}) for made in (first, second)
    )
    # Zero and minus zero are different bytes, and so are different data.
    equal = repr(left.to_pydict()) == repr(right.to_pydict())
    assert (content_digest(left) == content_digest(right)) is equal
    assert (to_parquet(left) == to_parquet(right)) or not equal


def test_text_cannot_move_between_rows_unnoticed():
    first, second = (pa.table({"x": pa.array(values)}) for values in (["ab", "c"], ["a", "bc"]))
    assert content_digest(first) != content_digest(second)
    empty, null = (pa.table({"x": pa.array(values, pa.string())}) for values in ([""], [None]))
    assert content_digest(empty) != content_digest(null)


def test_how_late_values_become_known(clock):
    contract = ContractSpec(
        name="Flight",
        fields=(
            FieldSpec(name="id", kind=FieldKind.KEY),
            FieldSpec(name="at", kind=FieldKind.EVENT_TIME),
            FieldSpec(name="arrived", kind=FieldKind.TIME, missing=None),
            FieldSpec(name="delay", kind=FieldKind.FLOAT, missing=None, known_at="arrived"),
            FieldSpec(name="never", kind=FieldKind.FLOAT, missing=None, known_at="arrived"),
        ),
    )
    at = clock.now()
    table = pa.table(
        {
            "id": ["1", "2", "3", "4"],
            "at": [at] * 4,
            "arrived": [at + timedelta(hours=h) for h in (1, 2, 3)] + [None],
            "delay": [1.0, 2.0, 3.0, None],
            "never": pa.nulls(4, pa.float64()),
        }
    )
    delays = known_delay(contract, table)
    assert list(delays) == ["delay"]
    assert delays["delay"].rows == 3
    assert delays["delay"].median_s == 7200
    assert delays["delay"].p99_s == 10800


def test_the_routes_answer_with_the_same(store, take, table, actor):
    from trimtab.data import routes

    taken = take(table(temp=[500.0, 501.0, 502.0, *[1.0] * 5]))
    by_path = {route.path: route for route in routes(store)}

    def call(path, query=None, **parts):
        return by_path[path].handler(Call(actor=actor, path=parts, query=query or {}))

    assert call("/api/v1/snapshots").items == (taken,)
    assert call("/api/v1/snapshots", {"source": "other"}).items == ()
    assert call("/api/v1/snapshots/{id}", id=taken.id) == taken
    path = "/api/v1/snapshots/{id}/set-aside"
    first = call(path, {"limit": "2"}, id=taken.id)
    assert [row["temp"] for row in first.items] == [500.0, 501.0]
    rest = call(path, {"limit": "2", "cursor": first.next}, id=taken.id)
    assert [row["temp"] for row in rest.items] == [502.0]
    assert rest.next is None
    for query in ({"limit": "many"}, {"limit": "9999"}, {"limit": "0"}, {"cursor": "-1"}):
        with pytest.raises(Invalid):
            call(path, query, id=taken.id)
