"""The decision log: found again open and sealed, cut after a crash, sealed once, never half written."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from trimtab.kernel import VirtualClock
from trimtab.serving import (
    Decision,
    DecisionLog,
    DecisionUnknown,
    NotRecorded,
    decision_tables,
    decisions,
    find_decision,
    sealed_segments,
)
from trimtab.serving import log as log_module
from trimtab.serving import segments as segments_module
from trimtab.serving.frames import Entry, Layout
from trimtab.serving.log import decisions_folder
from trimtab.serving.records import Kind, OutputKind
from trimtab.serving.segments import micros
from trimtab.store import Store


def layout(version: int = 1, kind: Kind = "float") -> Layout:
    columns: tuple[tuple[str, Kind], ...] = (("distance", kind), ("carrier", "category"))
    return Layout(0, "late", version, f"sha256:{version}{kind}", columns, (("probability", "float"), ("label", "int")))


def write(
    log: DecisionLog, store: Store, count: int = 1, *, endpoint: str = "late", form: Layout | None = None, **more: Any
) -> list[str]:
    """Log rows of one request; return their ids."""
    ids = [store.ids.new() for _ in range(count)]
    entry = Entry(
        layout=0, at_us=micros(store.clock.now()), source="key", stage="full", reason="champion", latency_us=250,
        ids=ids, values=[[float(i), None if i % 2 else "UA"] for i in range(count)],
        outputs=[[i / 7 for i in range(count)], [i % 2 for i in range(count)]],
        keys=[{"flight_id": f"F{i}"} for i in range(count)], ages_s=[(0.0, None)] * count,
    )  # fmt: skip
    for name, value in more.items():
        setattr(entry, name, value)
    log.write(endpoint, [(form or layout(), entry)])
    return ids


def abandon(log: DecisionLog) -> None:
    """Let go of a log's files as a killed process does: nothing sealed, nothing said."""
    for segment in [*log._open.values(), *log._full]:
        segment.close()


def files(store: Store) -> list[Path]:
    return sorted(decisions_folder(store).rglob("*.*"))


def test_a_decision_reads_the_same_open_and_sealed(store: Store, clock: VirtualClock) -> None:
    log = DecisionLog(store)
    ids = write(log, store, 5)
    before = [find_decision(store, id_) for id_ in ids]

    assert log.seal(also_open=None) == 1

    assert files(store) == []
    assert [find_decision(store, id_) for id_ in ids] == before
    assert before[3] == Decision(
        id=ids[3], at=clock.now(), as_of=clock.now(), endpoint="late", model="late", version=1,
        release="sha256:1float", stage="full", reason="champion", source="key", key={"flight_id": "F3"},
        columns=("distance", "carrier"), values=(3.0, None), ages_s=(0.0, None),
        result={"probability": 3 / 7, "label": 1}, latency_us=250,
    )  # fmt: skip
    assert before[3].features == {"distance": 3.0, "carrier": None}


def test_a_seal_is_an_event_with_the_digest_of_a_blob(store: Store) -> None:
    log = DecisionLog(store)
    ids = write(log, store, 3) + write(log, store, 2, form=layout(2))
    log.close()

    (segment,) = sealed_segments(store, "late")
    assert (segment.count, segment.first_id, segment.last_id) == (5, min(ids), max(ids))
    assert len(store.blobs.get(segment.digest)) == segment.size_bytes
    with store.read() as connection:
        body = connection.exec_driver_sql(
            "SELECT body FROM ledger_events WHERE type = 'serving.decisions-sealed'"
        ).scalar_one()
    event = msgspec.json.decode(body)
    assert event["after"] == segment.digest
    assert event["data"]["by_version"] == {"late@1": 3, "late@2": 2}
    assert "UA" not in body  # values stay in the log


def test_the_same_decisions_seal_to_the_same_bytes(sqlite_store: Store) -> None:
    log = DecisionLog(sqlite_store)
    write(log, sqlite_store, 50)
    (path,) = files(sqlite_store)
    data = path.read_bytes()
    from trimtab.serving.segments import parquet_of, table_of

    assert parquet_of(table_of(data)) == parquet_of(table_of(data))


def test_a_large_segment_is_sealed_by_a_process_of_its_own(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimtab.serving import sealing

    log = DecisionLog(sqlite_store)
    ids = write(log, sqlite_store, 200)
    (path,) = files(sqlite_store)
    here = sealing.sealed(path, stopping=Event())
    monkeypatch.setattr(sealing, "HERE_BYTES", 1000)
    assert sealing.sealed(path, stopping=Event()) == here
    monkeypatch.setattr(sealing, "_COMMAND", "raise SystemExit(1)")
    assert (
        sealing.sealed(path, stopping=Event()) == here
    )  # a process that fails does not keep decisions from being sealed
    log.close()
    assert [one.id for one in decisions(sqlite_store, "late", limit=1000)] == sorted(ids, reverse=True)


def test_ids_and_times_lead_to_decisions_across_segments(store: Store, clock: VirtualClock) -> None:
    log = DecisionLog(store)
    ids: list[str] = []
    for hour in range(6):
        ids += write(log, store, 10)
        if hour in (1, 3):
            log.seal(also_open=("late",))
        clock.sleep(3600)
    start = clock.now() - timedelta(hours=6)

    assert [one.id for one in decisions(store, "late", limit=1000)] == sorted(ids, reverse=True)
    assert [one.id for one in decisions(store, "late", limit=15)] == sorted(ids, reverse=True)[:15]
    page = decisions(store, "late", limit=25)
    rest = decisions(store, "late", limit=1000, before_id=page[-1].id)
    assert [one.id for one in page + rest] == sorted(ids, reverse=True)
    middle = decisions(store, "late", since=start + timedelta(hours=1), until=start + timedelta(hours=5), limit=1000)
    assert sorted(one.id for one in middle) == ids[10:50]
    tables = list(decision_tables(store, "late", since=start + timedelta(hours=1), until=start + timedelta(hours=5)))
    assert sorted(id_ for table in tables for id_ in table["id"].to_pylist()) == ids[10:50]
    assert {name for table in tables for name in table.schema.names} >= {
        "feature_distance",
        "age_distance",
        "result_label",
    }
    assert decisions(store, "other") == []


def test_the_newest_are_found_whatever_order_they_were_answered_in(sqlite_store: Store, clock: VirtualClock) -> None:
    log = DecisionLog(sqlite_store)
    ids: list[str] = []
    asked: list[tuple[str, int]] = []
    for second in range(300):
        clock.sleep(1)
        asked.append((sqlite_store.ids.new(), micros(clock.now())))
        # Every seventh question takes 40 s to be answered, and is written between much newer ones.
        slow = [one for one in asked if one[0] not in ids and (one[1] // 1_000_000) % 7 == 0]
        due = [one for one in slow if micros(clock.now()) - one[1] >= 40_000_000]
        for id_, at_us in [*due, *([asked[-1]] if (asked[-1][1] // 1_000_000) % 7 else [])]:
            write(log, sqlite_store, ids=[id_], at_us=at_us, latency_us=micros(clock.now()) - at_us)
            ids.append(id_)
        if second in (100, 200):
            log.seal(also_open=None)
    for limit in (1, 3, 17, 80, 1000):
        assert [one.id for one in decisions(sqlite_store, "late", limit=limit)] == sorted(ids, reverse=True)[:limit]


def test_an_unknown_id_says_so(store: Store) -> None:
    log = DecisionLog(store)
    write(log, store)
    log.close()
    write(log, store)
    for id_ in (store.ids.new(), "", "no such id"):
        with pytest.raises(DecisionUnknown) as caught:
            find_decision(store, id_)
        assert caught.value.next


@pytest.mark.parametrize("cut", [1, 3, 9, 40])
def test_a_torn_tail_is_cut_and_everything_before_it_is_kept(store: Store, cut: int) -> None:
    log = DecisionLog(store)
    kept = write(log, store, 4)
    torn = write(log, store, 1)
    abandon(log)
    (path,) = files(store)
    os.truncate(path, path.stat().st_size - cut)

    assert DecisionLog(store).recover() == 1

    assert {one.id for one in decisions(store, "late")} == set(kept)
    with pytest.raises(DecisionUnknown):
        find_decision(store, torn[0])
    assert files(store) == []


def test_recovery_leaves_the_segments_of_living_processes_alone(store: Store) -> None:
    alive, dead = DecisionLog(store), DecisionLog(store)
    here, left = write(alive, store), write(dead, store, endpoint="other")
    abandon(dead)

    assert DecisionLog(store).recover() == 1

    assert [path.parent.name for path in files(store)] == ["late"]
    here += write(alive, store)
    assert {find_decision(store, id_).endpoint for id_ in here + left} == {"late", "other"}


def test_a_crash_between_seal_and_removal_seals_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DecisionLog(store)
    ids = write(log, store, 3)
    (path,) = files(store)
    data = path.read_bytes()
    log.close()
    path.write_bytes(data)  # as if the file had not been removed

    assert DecisionLog(store).recover() == 0

    assert files(store) == []
    assert [one.id for one in decisions(store, "late")] == sorted(ids, reverse=True)
    assert len(sealed_segments(store, "late")) == 1


def test_a_database_that_is_away_keeps_decisions_in_their_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DecisionLog(store)
    ids = write(log, store, 3)

    def away(*args: object, **kwargs: object) -> None:
        raise OSError("away")

    with monkeypatch.context() as patch:
        patch.setattr(log_module, "_record", away)
        with pytest.raises(OSError, match="away"):
            log.seal(also_open=None)
    assert find_decision(store, ids[0]).id == ids[0]
    assert log.seal() == 1
    assert find_decision(store, ids[0]).id == ids[0]


def test_empty_segments_leave_nothing_behind(sqlite_store: Store) -> None:
    log = DecisionLog(sqlite_store)
    log._open["late"] = log_module.OpenSegment(
        decisions_folder(sqlite_store) / "late", id=sqlite_store.ids.new(), endpoint="late", at=sqlite_store.clock.now()
    )
    abandon(log)
    assert DecisionLog(sqlite_store).recover() == 0
    assert files(sqlite_store) == []


def test_a_process_killed_while_it_opens_a_segment_leaves_nothing(sqlite_store: Store) -> None:
    folder = decisions_folder(sqlite_store) / "late"
    folder.mkdir(parents=True)
    (folder / f"{sqlite_store.ids.new()}.opening").touch()
    assert DecisionLog(sqlite_store).recover() == 0
    assert files(sqlite_store) == []


def test_damage_inside_a_segment_keeps_the_file_for_a_person(sqlite_store: Store) -> None:
    log = DecisionLog(sqlite_store)
    first = write(log, sqlite_store, 2)
    size = files(sqlite_store)[0].stat().st_size
    lost = write(log, sqlite_store, 1)
    last = write(log, sqlite_store, 1)
    abandon(log)
    (path,) = files(sqlite_store)
    data = bytearray(path.read_bytes())
    data[size + 20] ^= 0xFF
    path.write_bytes(data)

    DecisionLog(sqlite_store).recover()

    assert {one.id for one in decisions(sqlite_store, "late")} == {*first, *last} - {*lost}
    assert [path.suffix for path in files(sqlite_store)] == [".damaged"]


def test_one_column_keeps_one_type_in_a_segment(sqlite_store: Store) -> None:
    log = DecisionLog(sqlite_store)
    ids = write(log, sqlite_store) + write(log, sqlite_store, form=layout(2, "category"), values=[["far", "UA"]])
    assert len(files(sqlite_store)) == 2
    log.close()
    assert [find_decision(sqlite_store, id_).values[0] for id_ in ids] == [0.0, "far"]


def test_lists_of_texts_and_huge_labels_are_sealed_too(sqlite_store: Store) -> None:
    log = DecisionLog(sqlite_store)
    outputs: tuple[tuple[str, OutputKind], ...] = (("classes", "texts"), ("label", "int"))
    form = msgspec.structs.replace(layout(), outputs=outputs)
    ids = write(log, sqlite_store, 2, form=form, outputs=[[["a", "b"], []], [2**64 - 1, 7]])
    ids += write(log, sqlite_store, 1, form=layout(2))
    log.close()
    assert files(sqlite_store) == []
    found = [find_decision(sqlite_store, id_).result for id_ in ids]
    assert found == [{"classes": ["a", "b"], "label": float(2**64 - 1)}, {"classes": [], "label": 7}, found[2]]


def test_a_segment_that_cannot_be_sealed_stops_neither_the_others_nor_a_start(sqlite_store: Store) -> None:
    log = DecisionLog(sqlite_store)
    odd = write(log, sqlite_store, 2, endpoint="a", outputs=[[0.5], [1, 1]])  # a result for one of two rows
    good = write(log, sqlite_store, 2, endpoint="b")
    assert log.seal(also_open=None) == 1
    assert DecisionLog(sqlite_store).recover() == 0
    assert [path.parent.name for path in files(sqlite_store)] == ["a"]
    assert [one.count for one in sealed_segments(sqlite_store, "b")] == [2]
    assert find_decision(sqlite_store, good[0]).endpoint == "b"
    assert odd


def test_segments_close_when_they_are_full_or_old(sqlite_store: Store, clock: VirtualClock) -> None:
    log = DecisionLog(sqlite_store, seal_bytes=4000, seal_after_s=60)
    ids = [write(log, sqlite_store)[0] for _ in range(100)]
    assert log.seal() >= 2
    clock.sleep(61)
    log.retire_old()
    assert log.seal() == 1
    assert files(sqlite_store) == []
    assert {one.id for one in decisions(sqlite_store, "late", limit=1000)} == set(ids)


@pytest.mark.parametrize("written", [0, 5])
def test_a_full_disk_means_no_answer_and_no_half_frame(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    log = DecisionLog(sqlite_store)
    kept = write(log, sqlite_store)
    real: Callable[[int, Any], int] = os.write
    calls: list[int] = []

    def full(fd: int, data: Any) -> int:
        calls.append(fd)
        if len(calls) == 1 and written:
            return real(fd, bytes(data)[:written])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(NotRecorded) as caught:
            write(log, sqlite_store, form=layout(2))
    assert "make room" in caught.value.next
    assert str(sqlite_store.settings.home_path) not in str(caught.value)
    kept += write(log, sqlite_store, form=layout(2))  # its layout was not written before, so it is now
    log.close()
    assert {one.id for one in decisions(sqlite_store, "late")} == set(kept)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
def test_a_full_disk_at_the_opening_leaves_no_file_open(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DecisionLog(sqlite_store)

    def full(_fd: int, _data: Any) -> int:
        raise OSError(28, "No space left on device")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(5):
            with pytest.raises(NotRecorded):
                write(log, sqlite_store)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert files(sqlite_store) == []


def test_many_threads_write_one_log(sqlite_store: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    log = DecisionLog(sqlite_store, seal_bytes=20_000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: write(log, sqlite_store, 2), range(200)))
        pool.submit(log.seal).result()
    log.sync()
    log.close()
    assert {one.id for one in decisions(sqlite_store, "late", limit=1000)} == {i for ids in found for i in ids}


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_segment_that_is_taken_for_a_dead_one_as_it_begins_is_begun_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """Another thread looks for what dead processes have left, just before the file is locked."""
    log = DecisionLog(store)
    created, taken = segments_module._created, []

    def looked_at(path: Path) -> int:
        fd = created(path)
        if not taken:
            if goes_on:  # it has locked the file, and removes it later
                taken.append(os.open(path, os.O_RDWR))
                assert segments_module.lock(taken[0])
            else:
                taken.append(-1)
                assert DecisionLog(store).recover() == 0
        return fd

    monkeypatch.setattr(segments_module, "_created", looked_at)
    ids = write(log, store, 2)
    assert taken
    assert DecisionLog(store).recover() == 0, "its owner is alive, and holds it"
    if goes_on:
        os.close(taken[0])
        assert DecisionLog(store).recover() == 0
    log.seal(also_open=None)
    assert {decision.id for decision in decisions(store, "late")} == set(ids)
    assert list((decisions_folder(store) / "late").iterdir()) == []
    log.close()


def test_where_no_file_can_be_locked_nothing_is_answered(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DecisionLog(sqlite_store)
    with monkeypatch.context() as patched:
        patched.setattr(segments_module, "lock", lambda _: False)
        with pytest.raises(NotRecorded, match="No locks available"):
            write(log, sqlite_store)
    assert DecisionLog(sqlite_store).recover() == 0
    assert list((decisions_folder(sqlite_store) / "late").iterdir()) == []
    assert write(log, sqlite_store)
    log.close()
