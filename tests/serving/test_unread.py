"""Reading on in the decision log: every decision once, however it is sealed, killed or read in between."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.monitoring.served import HOUR, START, Served, move

from trimtab.serving import Marks, decisions, read_unread
from trimtab.serving.log import decisions_folder
from trimtab.store import Store


class Reader:
    """Reads on, and remembers every id that it was given."""

    def __init__(self, store: Store) -> None:
        self.store, self.marks, self.ids = store, Marks(), list[str]()

    def read(self) -> list[str]:
        unread = read_unread(self.store, "late", marks=self.marks, known=lambda ids: set(ids) & set(self.ids))
        self.marks = unread.marks
        new = [id_ for rows in unread.rows for id_ in rows.ids]
        self.ids += new
        return new


def test_each_decision_is_read_once_open_and_sealed(store: Store) -> None:
    served, reader = Served(store), Reader(store)
    assert reader.read() == []
    first = served.decide([0.1, 0.7], at=START)
    assert sorted(reader.read()) == first
    assert reader.read() == []
    second = served.decide([0.2], at=START, version=2)
    served.log.seal(also_open=None)  # sealed after a part of it was read
    assert reader.read() == second
    third = served.decide([0.3], at=START)
    served.log.seal(also_open=None)  # sealed before any of it was read
    assert reader.read() == third
    assert reader.read() == []


def test_a_long_log_is_handed_out_in_parts(store: Store) -> None:
    served, reader = Served(store), Reader(store)
    asked: list[str] = []
    for hour in range(6):
        move(store, START + hour * HOUR)
        asked += served.decide([0.1] * 10, at=START + hour * HOUR)
        if hour != 2:  # one segment is sealed with the next
            served.log.seal(also_open=None)
        if hour == 1:
            assert len(reader.read()) == 20
    asked += served.decide([0.2], at=START + 5 * HOUR)
    parts = []
    while True:
        unread = read_unread(store, "late", marks=reader.marks, known=lambda ids: set(ids) & set(reader.ids), most=15)
        reader.marks = unread.marks
        new = [id_ for rows in unread.rows for id_ in rows.ids]
        reader.ids += new
        parts.append(len(new))
        if not unread.more:
            break
    assert len(parts) == 2
    assert max(parts) <= 31
    assert sorted(reader.ids) == sorted(asked)
    assert reader.read() == []


def test_rows_say_the_same_open_and_sealed(store: Store) -> None:
    served = Served(store)
    keys = [{"flight_id": "F1"}, {"flight_id": "F2"}]
    ids = served.decide([0.25, 0.75], at=START + HOUR, as_of=[START, START + HOUR], keys=keys)
    served.decide([0.5], at=START, version=2, stage="shadow", mirrors=[ids[0]], values=[[None, None]])
    before = {rows.stage: rows for rows in read_unread(store, "late", marks=Marks(), known=_nothing).rows}
    served.log.seal(also_open=None)
    after = {rows.stage: rows for rows in read_unread(store, "late", marks=Marks(), known=_nothing).rows}
    for stage in ("full", "shadow"):
        for name in before[stage].__struct_fields__:
            was, now = getattr(before[stage], name), getattr(after[stage], name)
            if isinstance(was, dict):
                was, now = ({key: list(values) for key, values in one.items()} for one in (was, now))
            assert was == now, name
    assert before["full"].features == {"distance": (250.0, 750.0), "origin": ("EWR", "JFK")}
    assert before["full"].results == {"probability": [0.25, 0.75], "label": [0, 1]}
    assert before["shadow"].mirrors == [ids[0]]


def _nothing(_ids: object) -> set[str]:
    return set()


def test_a_segment_that_is_seen_very_late_is_still_read(store: Store) -> None:
    """Such as one that another machine sealed with a clock that runs behind."""
    served, reader = Served(store), Reader(store)
    late = served.decide([0.5], at=START)
    (path,) = decisions_folder(store).glob("late/*.log")
    hidden = path.with_suffix(".hidden")
    other = Served(store, seed=1)
    path.rename(hidden)
    for hour in range(1, 5):
        move(store, START + HOUR * hour)
        other.decide([0.5], at=START + HOUR * hour)
        other.log.seal(also_open=None)
    assert len(reader.read()) == 4
    hidden.rename(path)
    store.clock._now = START  # type: ignore[attr-defined]
    served.log.seal(also_open=None)
    assert reader.read() == late
    assert reader.read() == []


def test_what_another_home_has_read_is_not_read_again(store: Store) -> None:
    """Homes of one database read on from the same marks, and none sees the open segments of the others."""
    served, reader = Served(store), Reader(store)
    first = served.decide([0.5], at=START)
    (path,) = decisions_folder(store).glob("late/*.log")
    hidden = path.with_suffix(".hidden")

    def read_elsewhere() -> list[str]:
        path.rename(hidden)
        found = reader.read()
        hidden.rename(path)
        return found

    assert read_elsewhere() == []
    assert reader.read() == first
    assert read_elsewhere() == []
    assert reader.read() == []
    second = served.decide([0.6], at=START)
    assert reader.read() == second
    assert read_elsewhere() == []
    served.log.seal(also_open=None)
    assert reader.read() == []


def test_a_torn_tail_is_read_when_it_is_whole(sqlite_store: Store) -> None:
    served, reader = Served(sqlite_store), Reader(sqlite_store)
    first = served.decide([0.5], at=START)
    (path,) = decisions_folder(sqlite_store).glob("late/*.log")
    second = served.decide([0.6], at=START)
    data = path.read_bytes()
    _cut(path, data[:-7])
    assert reader.read() == first
    _cut(path, data)
    assert reader.read() == second


def test_a_file_that_was_cut_is_read_again_and_nothing_twice(sqlite_store: Store) -> None:
    """A write that the disk refused is taken back, though a reader may have seen a part of it."""
    served, reader = Served(sqlite_store), Reader(sqlite_store)
    first = served.decide([0.5], at=START)
    (path,) = decisions_folder(sqlite_store).glob("late/*.log")
    size = path.stat().st_size
    second = served.decide([0.6], at=START)
    assert reader.read() == [*first, *second]
    _cut(path, path.read_bytes()[:size])
    assert reader.read() == []
    third = served.decide([0.7], at=START)
    assert reader.read() == third


def _cut(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["decide", "decide", "read", "seal", "later"]), max_size=25))
def test_whatever_happens_in_between(sqlite_store: Store, steps: list[str]) -> None:
    served, reader = Served(sqlite_store), Reader(sqlite_store)
    before = set(reader.read())
    asked: list[str] = []
    for step in steps:
        now = sqlite_store.clock.now()
        match step:
            case "decide":
                asked += served.decide([0.5, 0.6], at=now, version=1 + len(asked) % 3)
            case "read":
                reader.read()
            case "seal":
                served.log.seal(also_open=None)
            case "later":
                move(sqlite_store, now + HOUR)
    reader.read()
    assert sorted(set(reader.ids) - before) == sorted(asked)
    assert len(reader.ids) == len(set(reader.ids)) == len(decisions(sqlite_store, "late", limit=100_000))
    served.log.seal(also_open=None)
