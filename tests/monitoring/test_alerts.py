"""Alerts: one for each group, however often it is found; acknowledged, silenced, resolved by themselves."""

import sys
from datetime import timedelta
from typing import Any

import pytest
from tests.monitoring.served import ACTOR, HOUR, START, move

from trimtab.kernel import Invalid, Settings
from trimtab.monitoring import (
    AlertMissing,
    AlertOver,
    Sign,
    acknowledge,
    alerts,
    deliveries,
    get_alert,
    silence,
    silences,
)
from trimtab.monitoring.alerts import settle
from trimtab.monitoring.checking import KINDS
from trimtab.monitoring.records import Checked, Severity
from trimtab.store import Store, events, open_store


def sign(group: str = "drift", severity: Severity = "page", title: str = "it drifted") -> Sign:
    return Sign(kind="drift", group=group, severity=severity, title=title, lines=("origin is LGA in 40 %",))


def settled(store: Store, *signs: Sign) -> Checked:
    return settle(store, "late", signs, kinds=KINDS, at=store.clock.now())


def heard(store: Store) -> list[str]:
    return sorted(event.type for event in events(store) if event.type.startswith("monitoring."))


def test_what_is_found_again_and_again_is_one_alert(store: Store) -> None:
    first = settled(store, sign())
    assert [one.title for one in first.raised] == ["it drifted"]
    before = sum(1 for _ in events(store))
    for _ in range(3):
        move(store, store.clock.now() + HOUR)
        again = settled(store, sign(title="it still drifts"))
        assert (again.raised, again.resolved) == ((), ())
    assert sum(1 for _ in events(store)) == before  # nothing is written while nothing changes
    (alert,) = alerts(store)
    assert (alert.state, alert.raised_at) == ("open", START)


def test_what_two_processes_find_at_once_is_one_alert(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(store, sign())
    module: Any = sys.modules["trimtab.monitoring.alerts"]
    look, looks = module._open, iter([[], []])
    # The other one's alert is not there yet when this one looks.
    monkeypatch.setattr(module, "_open", lambda *given, **words: next(looks, look(*given, **words)))
    assert settled(store, sign()).raised == ()
    assert len(alerts(store)) == 1


def test_it_is_resolved_by_itself_and_raised_anew(store: Store) -> None:
    settled(store, sign(), sign("quality:volume"))
    move(store, START + HOUR)
    gone = settled(store, sign("quality:volume"))
    assert [one.group for one in gone.resolved] == ["drift"]
    assert [one.group for one in alerts(store, states=("open",))] == ["quality:volume"]
    back = settled(store, sign(), sign("quality:volume"))
    assert [one.group for one in back.raised] == ["drift"]
    assert len(alerts(store)) == 3
    assert heard(store) == ["monitoring.alert-raised"] * 3 + ["monitoring.alert-resolved"]


def test_only_what_was_looked_for_is_resolved(store: Store) -> None:
    settled(store, sign())
    kept = settle(store, "late", (), kinds=("quality",), at=store.clock.now())
    assert kept.resolved == ()
    other = settle(store, "early", (), kinds=KINDS, at=store.clock.now())
    assert other.resolved == ()
    assert len(alerts(store, states=("open",))) == 1


def test_a_note_that_becomes_a_page_is_raised_again(store: Store) -> None:
    settled(store, sign(severity="note"))
    worse = settled(store, sign())
    assert [one.severity for one in worse.raised] == ["page"]
    (alert,) = alerts(store)
    assert alert.severity == "page"
    assert settled(store, sign(severity="note")).raised == ()  # and stays one until it is over


def test_acknowledging(store: Store) -> None:
    (alert,) = settled(store, sign()).raised
    with store.change(ACTOR, "I am on it") as change:
        taken = acknowledge(change, alert.id)
    assert (taken.state, taken.acknowledged_by, taken.because) == ("acknowledged", "tester", "I am on it")
    with store.change(ACTOR, "again") as change:
        assert acknowledge(change, alert.id) == taken
    assert settled(store, sign()).raised == ()
    settled(store)
    assert get_alert(store, alert.id).state == "resolved"
    with pytest.raises(AlertOver) as over, store.change(ACTOR) as change:
        acknowledge(change, alert.id)
    with pytest.raises(AlertMissing) as missing, store.change(ACTOR) as change:
        acknowledge(change, "nobody")
    assert all(over.value.parts().values())
    assert all(missing.value.parts().values())


@pytest.fixture
def told(database_url: str, home: object, clock: object) -> Store:
    """A store whose settings name a target."""
    settings = Settings(home=str(home), database=database_url, alerts_command="true")
    return open_store(settings, clock=clock)  # type: ignore[arg-type]


def test_a_page_is_sent_once_and_its_end_too(told: Store) -> None:
    (alert,) = settled(told, sign()).raised
    settled(told, sign())
    assert [one.target for one in deliveries(told, alert.id)] == ["command"]
    settled(told)
    assert len(deliveries(told, alert.id)) == 2
    (note,) = settled(told, sign(severity="note")).raised
    assert deliveries(told, note.id) == []
    told.close()


def test_silence_keeps_quiet_and_no_longer(told: Store) -> None:
    with told.change(ACTOR, "maintenance") as change:
        made = silence(change, "late", until=START + 2 * HOUR, groups="drift*")
    assert silences(told, "late", at=START) == [made]
    (quiet,) = settled(told, sign()).raised
    assert (quiet.silenced_until, deliveries(told, quiet.id)) == (START + 2 * HOUR, [])
    (loud,) = settled(told, sign(), sign("skew")).raised
    assert len(deliveries(told, loud.id)) == 1
    move(told, START + HOUR)
    settled(told, sign(), sign("skew"))
    assert deliveries(told, quiet.id) == []
    move(told, START + 2 * HOUR)
    settled(told, sign(), sign("skew"))
    settled(told, sign(), sign("skew"))
    assert len(deliveries(told, quiet.id)) == 1  # it is still wrong, and nobody has been told
    assert silences(told, "late", at=START + 2 * HOUR) == []
    told.close()


def test_the_end_of_what_is_silenced_is_not_told_either(told: Store) -> None:
    (alert,) = settled(told, sign()).raised
    with told.change(ACTOR, "maintenance") as change:
        silence(change, "late", until=START + 2 * HOUR)
    move(told, START + HOUR)
    assert [one.id for one in settled(told).resolved] == [alert.id]
    assert len(deliveries(told, alert.id)) == 1
    told.close()


def test_silencing_what_is_open(store: Store) -> None:
    (alert,) = settled(store, sign()).raised
    with store.change(ACTOR) as change:
        silence(change, "late", until=START + HOUR)
    assert get_alert(store, alert.id).silenced_until == START + HOUR
    for until in (START, START - HOUR, (START + HOUR).replace(tzinfo=None)):
        with pytest.raises(Invalid) as caught, store.change(ACTOR) as change:
            silence(change, "late", until=until)
        assert all(caught.value.parts().values())
    with pytest.raises(Invalid), store.change(ACTOR) as change:
        silence(change, "late", until=START + timedelta(days=1), groups="")


def test_pages_of_alerts(store: Store) -> None:
    for number in range(5):
        settled(store, *(sign(f"drift:{place}") for place in range(number + 1)))
        move(store, store.clock.now() + HOUR)
    first = alerts(store, limit=3)
    rest = alerts(store, limit=3, before_id=first[-1].id)
    assert [one.group for one in [*first, *rest]] == [f"drift:{place}" for place in (4, 3, 2, 1, 0)]
    assert alerts(store, endpoint="early") == []
