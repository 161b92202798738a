"""Several homes on one database: a decision is found from each of them, wherever it was taken and sealed or not.

So is what it came from, and each of them takes what came of it.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.registry.cases import registered
from tests.serving.late import ACTOR
from tests.serving.test_log import abandon, write

from trimtab.governance import lineage
from trimtab.kernel import Settings, VirtualClock
from trimtab.monitoring import Outcome, record_outcomes
from trimtab.serving import DecisionElsewhere, DecisionLog, DecisionUnknown, find_decision, homes, sealed_segments
from trimtab.serving.homes import ServingHome, seal_elsewhere
from trimtab.store import Store, open_store

Opens = Callable[[str], Store]


@pytest.fixture
def at(store: Store, tmp_path: Path) -> Iterator[Opens]:
    """Open the database of ``store`` from a home of another machine; the blobs are shared, as S3 would be."""
    opened: list[Store] = []
    database = store.settings.database or f"sqlite:///{store.settings.home_path / 'trimtab.db'}"

    def open_at(name: str) -> Store:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        if not (home / "blobs").exists():
            (store.settings.home_path / "blobs").mkdir(exist_ok=True)
            (home / "blobs").symlink_to(store.settings.home_path / "blobs")
            shutil.copytree(store.settings.home_path / "keys", home / "keys")  # else it could not write
        opened.append(open_store(Settings(home=str(home), database=database), clock=store.clock))
        return opened[-1]

    yield open_at
    for one in opened:
        one.close()


@contextmanager
def answering(home: ServingHome) -> Iterator[None]:
    """Look for questions as a gateway does."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            home.answer()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "ANSWERS_WITHIN_S", 0.2)


def test_a_decision_is_found_from_another_home_before_it_is_sealed(store: Store, at: Opens) -> None:
    there = at("there")
    log = DecisionLog(there)
    home = ServingHome(there, log)
    home.open()
    (id_,) = write(log, there)
    assert sealed_segments(store, "late") == []
    with answering(home):
        assert find_decision(store, id_).id == id_
        (second,) = write(log, there)
        assert find_decision(store, second).id == second
    assert len(sealed_segments(store, "late")) == 2
    home.close()
    with pytest.raises(DecisionUnknown):
        find_decision(store, store.ids.new())


@pytest.mark.usefixtures("impatient")
def test_one_that_was_acknowledged_is_never_called_unknown(store: Store, at: Opens) -> None:
    there = at("there")
    log = DecisionLog(there)
    ServingHome(there, log).open()
    (id_,) = write(log, there)
    abandon(log)  # its machine is gone, for now
    with pytest.raises(DecisionElsewhere, match=r"may lie on .*, not sealed yet") as told:
        find_decision(store, id_)
    assert "trimtab up" in told.value.next
    again = DecisionLog(at("there"))
    again.recover()
    assert find_decision(store, id_).id == id_


@pytest.mark.usefixtures("impatient")
def test_what_is_older_than_all_that_may_be_unsealed_is_unknown_at_once(
    store: Store, at: Opens, clock: VirtualClock
) -> None:
    old = store.ids.new()
    clock.sleep(3600)
    there = at("there")
    ServingHome(there, DecisionLog(there)).open()
    with pytest.raises(DecisionUnknown):
        find_decision(store, old)
    with pytest.raises(DecisionUnknown):
        find_decision(store, "no id")
    with pytest.raises(DecisionElsewhere):
        find_decision(store, store.ids.new())


@pytest.mark.usefixtures("impatient")
def test_a_home_that_stopped_cleanly_is_not_waited_for(store: Store, at: Opens) -> None:
    there = at("there")
    log = DecisionLog(there)
    home = ServingHome(there, log)
    home.open()
    write(log, there)
    home.close()
    assert len(seal_elsewhere(store)) == 1, "what it holds is not sealed yet"
    log.close()
    home.close()
    assert seal_elsewhere(store) == []


@pytest.mark.usefixtures("impatient")
def test_another_process_of_the_same_home_is_waited_for(store: Store, at: Opens) -> None:
    first, second = at("there"), at("there")
    log, other = DecisionLog(first), DecisionLog(second)
    home, beside = ServingHome(first, log), ServingHome(second, other)
    home.open()
    beside.open()
    (id_,) = write(other, second)
    with answering(home), pytest.raises(DecisionElsewhere):
        find_decision(store, id_)
    with answering(beside):
        assert find_decision(store, id_).id == id_


def about(by: str, id_: str) -> dict[str, Any]:
    return {"decision": id_} if by == "decision" else {"key": {"flight_id": "F0"}}


@pytest.mark.parametrize("by", ["decision", "key"])
def test_an_outcome_is_taken_at_another_home_before_its_decision_is_sealed(store: Store, at: Opens, by: str) -> None:
    there = at("there")
    log = DecisionLog(there)
    home = ServingHome(there, log)
    home.open()
    (id_,) = write(log, there)
    assert sealed_segments(store, "late") == []
    said = [Outcome(**about(by, id_), value=1.0, known_at=store.clock.now())]
    with answering(home):
        assert record_outcomes(store, "late", said, actor=ACTOR).new == 1
    assert len(sealed_segments(store, "late")) == 1
    again = record_outcomes(there, "late", [Outcome(decision=id_, value=1.0, known_at=said[0].known_at)], actor=ACTOR)
    assert (again.new, again.unchanged) == (0, 1), "it is the outcome of that decision, wherever it is asked"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("by", ["decision", "key"])
def test_an_outcome_of_what_lies_at_a_home_that_is_silent_is_taken_when_it_is_back(
    store: Store, at: Opens, by: str
) -> None:
    there = at("there")
    log = DecisionLog(there)
    ServingHome(there, log).open()
    (id_,) = write(log, there)
    abandon(log)
    said = [Outcome(**about(by, id_), value=1.0, known_at=store.clock.now())]
    with pytest.raises(DecisionElsewhere, match=r"is an outcome of may lie on .*, not sealed yet"):
        record_outcomes(store, "late", said, actor=ACTOR)
    DecisionLog(at("there")).recover()
    assert record_outcomes(store, "late", said, actor=ACTOR).new == 1


def test_the_lineage_of_a_decision_is_told_at_another_home_before_it_is_sealed(store: Store, at: Opens) -> None:
    registered(store)
    there = at("there")
    log = DecisionLog(there)
    home = ServingHome(there, log)
    home.open()
    (id_,) = write(log, there)
    assert sealed_segments(store, "late") == []
    with answering(home):
        graph = lineage(store, f"decision:{id_}")
    assert graph.subject == f"decision:{id_}"
    assert [node.name for node in graph.of("decision")] == [id_]
    assert [node.name for node in graph.of("version")] == ["late@1"]
    assert graph.nodes == lineage(there, f"decision:{id_}").nodes


@pytest.mark.usefixtures("impatient")
def test_the_lineage_of_what_lies_at_a_home_that_is_silent_says_where_it_may_lie(store: Store, at: Opens) -> None:
    registered(store)
    there = at("there")
    log = DecisionLog(there)
    ServingHome(there, log).open()
    (id_,) = write(log, there)
    with pytest.raises(DecisionElsewhere, match=r"may lie on .*, not sealed yet"):
        lineage(store, f"decision:{id_}")
    abandon(log)


def test_a_home_does_not_ask_itself(store: Store) -> None:
    log = DecisionLog(store)
    ServingHome(store, log).open()
    write(log, store)
    assert seal_elsewhere(store) == []
