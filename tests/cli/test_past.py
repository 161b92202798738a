"""``--at``: what a listing says of a past moment is what it said then."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.cli.conftest import Type
from tests.loop.parcels import write_project

from trimtab.cli.nouns.noun import Asked
from trimtab.cli.session import Session
from trimtab.cli.verbs.get import NOUNS, noun_named
from trimtab.declare import load_project
from trimtab.kernel import Actor, VirtualClock
from trimtab.loop import apply_project, approve_version, serve_version
from trimtab.registry import drop_alias, retire, set_alias
from trimtab.server import Rooms, issue_token, revoke_token
from trimtab.serving import Ask, remove_endpoint
from trimtab.store import Store

ANN, BEN = Actor("ann"), Actor("ben")
TOLD = [noun for noun in NOUNS if noun_named(noun).past is not None and noun != "lineage"]
"""What is listed; lineage is of one thing at a time."""
Said = dict[str, bytes]


def listings(store: Store, at: datetime | None = None) -> Said:
    session = Session()
    session.__dict__["store"] = store
    asked = Asked(at=at, limit=1000)
    found = {}
    for noun in TOLD:
        known = noun_named(noun)
        find = known.find if at is None else known.past
        assert find is not None
        found[noun] = msgspec.json.encode(find(session, asked))
    return found


def one_by_one(store: Store, names: list[str], at: datetime | None = None) -> Said:
    session = Session()
    session.__dict__["store"] = store
    found = {}
    for name in names:
        noun, _, rest = name.partition(" ")
        known = noun_named(noun)
        find = known.find if at is None else known.past
        assert find is not None
        found[name] = msgspec.json.encode(find(session, Asked(name=rest, at=at)))
    return found


def history(store: Store, project: Path) -> list[Callable[[], object]]:
    """What happens, one thing after the other: everything that changes a record in place is among it."""

    def applied(strength: str) -> object:
        write_project(project, accept=0.7, **{"strength=1.0": f"strength={strength}"})
        return apply_project(store, load_project(project), actor=ANN, because="so")

    def changed(do: Callable[..., object], *words: object, **more: object) -> object:
        with store.change(BEN, "so") as change:
            return do(change, *words, **more)

    async def decide() -> None:
        rooms = Rooms(store)
        await rooms.gateway.start()
        await rooms.gateway.infer("slow", Ask(columns={"parcel_id": ["p2800", "p2801"]}))
        await rooms.gateway.stop()

    return [
        lambda: changed(issue_token, "ci", may=["read"]),
        lambda: applied("1.0"),
        lambda: approve_version(store, "slow@1", actor=BEN, because="first"),
        lambda: asyncio.run(decide()),
        lambda: applied("0.5"),
        lambda: approve_version(store, "slow@2", actor=BEN, because="better"),
        lambda: serve_version(store, "slow@2", stage="canary", percent=20, actor=BEN, because="looks right"),
        lambda: changed(set_alias, "slow@1", "mine"),
        lambda: serve_version(store, "slow@2", actor=BEN, because="it holds"),
        lambda: changed(drop_alias, "slow", "mine"),
        lambda: changed(retire, "slow@1"),
        lambda: changed(revoke_token, "ci"),
        lambda: changed(remove_endpoint, "slow"),
    ]


def test_the_past_is_told_as_it_was_told_then(store: Store, clock: VirtualClock, tmp_path: Path) -> None:
    clock.advance_to(datetime.fromisoformat("2013-03-01T12:00:00Z"))
    before = clock.now() - timedelta(days=1)
    names = ["models slow", "versions slow@1", "versions slow@latest", "sources parcels", "views parcel"]
    then: list[tuple[datetime, Said, Said]] = []
    for number, step in enumerate(history(store, tmp_path / "parcels.py")):
        step()
        then.append((clock.now(), listings(store), one_by_one(store, names) if number else {}))
        clock.sleep(60)

    assert set(listings(store, before).values()) == {b"[]"}
    for number, (at, listed, single) in enumerate(then):
        assert listings(store, at) == listed, number
        assert listings(store, at + timedelta(seconds=59)) == listed, number
        assert one_by_one(store, list(single), at) == single, number
    assert len({said["endpoints"] for _, said, _ in then}) == 5
    assert len({said["versions"] for _, said, _ in then}) == 6


def test_what_is_written_on_in_place_is_not_made_up(at_seeded: Type) -> None:
    assert not {"runs", "pipelines"} & set(TOLD)
    for noun in ("runs", "pipelines", "run"):
        typed = at_seeded("get", noun, "--at", "2013-03-01T12:30")
        assert (typed.code, "cannot be told" in typed.err) == (1, True)
        assert "trimtab get events --at" in typed.err


def test_a_view_that_was_described_anew_does_not_lend_its_name_to_the_past(
    sqlite_store: Store, clock: VirtualClock, tmp_path: Path, actor: Actor
) -> None:
    from trimtab.features import register_view

    view = load_project(write_project(tmp_path / "parcels.py")).spec.views[0]
    with sqlite_store.change(actor, "declared") as change:
        register_view(change, view)
    at = clock.now()
    clock.sleep(60)
    with sqlite_store.change(actor, "another owner") as change:
        register_view(change, msgspec.structs.replace(view, owner="ben"))
    with pytest.raises(Exception, match=r"whose it was at .* is not kept"):
        one_by_one(sqlite_store, ["views parcel"], at)
    assert b'"ben"' in one_by_one(sqlite_store, ["views parcel"], clock.now())["views parcel"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("get", "models", "--at", "2013-03-02"), "is still to come"),
        (("get", "models", "--at", "noon"), "is not a time"),
        (("get", "models", "--at", "2013-03-01T12:30", "--watch"), "the past cannot be watched"),
        (("get", "version", "slow@2", "--at", "2013-03-01T12:30"), "there is no version"),
        (("get", "version", "slow@champion", "--at", "2013-02-01"), "there is no version"),
        (("get", "model", "slow", "--at", "2013-02-01"), "there is no model"),
        (("get", "endpoint", "slow", "--at", "2013-02-01"), "there was no endpoint"),
        (("get", "view", "parcel@2", "--at", "2013-03-01T12:30"), "there is no view"),
        (("data", "show", "parcels", "--at", "2013-02-01"), "there is no source"),
    ],
)
def test_a_moment_without_an_answer_is_refused(at_seeded: Type, words: tuple[str, ...], says: str) -> None:
    typed = at_seeded(*words)
    assert (typed.code, says in typed.err) == (1, True), typed


def test_the_past_in_every_form(at_seeded: Type) -> None:
    assert "slow@2" not in at_seeded("get", "versions", "--at", "2013-03-01T12:30").out
    assert "@1 100 %" in at_seeded("get", "endpoint", "slow", "--at", "2013-03-01T12:30").out
    assert "@1 90 %, @2 canary 10 %" in at_seeded("get", "endpoints", "--at", "2013-03-01T13:00:00", "-o", "csv").out
    assert at_seeded("get", "decisions", "--at", "2013-03-01T14:00:00", "-o", "json").out.count('"stage"') == 1
    assert at_seeded("token", "list", "--at", "2013-03-01T12:30", "-o", "json").out == "[]\n"
    assert len(at_seeded("data", "show", "parcels", "-n", "3", "--at", "2013-03-01T12:30").out.splitlines()) == 5
