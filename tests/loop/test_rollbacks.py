"""Going back: by itself when late labels say so, by hand at once, and never to what was not released."""

import asyncio
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.loop.replays import START, opened, replayed, written

from trimtab.features import open_online
from trimtab.kernel import Actor
from trimtab.loop import (
    NothingBefore,
    NotToBeCancelled,
    Turn,
    TurnState,
    cancel_turn,
    list_turns,
    roll_back,
    serve_version,
)
from trimtab.registry import aliases
from trimtab.serving import Ask, Gateway, NoEndpoint, RegisteredReleases, decision_tables, get_endpoint
from trimtab.store import Store, events, verify
from trimtab.tracking import ALLOWED_TYPES

WORSE = {
    "LogisticRegression(C=strength, max_iter=1000)).fit(X, y)": (
        "LogisticRegression()).fit(X, y if len(X) < WARM else 1 - y)"
    ),
    "ROWS = 3000": "ROWS, WARM = 3000, 1200",
    "tt.auc >= 0.7, tt.log_loss <= tt.champion.log_loss + 1.0": "tt.auc >= 0.0",
}
"""From its second training on, the model has learnt the opposite, and its gate does not ask."""
ENDING = """
slow.serve(rollout=tt.shadow("2d") >> tt.canary(50, each="6d") >> tt.full,
           roll_back_if=tt.log_loss > tt.champion.log_loss * 1.03)
slow.retrain_when(tt.every("2d"), budget=1)
"""
GOOD = """
slow.serve(rollout=tt.canary(50, each="12h") >> tt.full, broken_rows="flag")
slow.retrain_when(tt.every("2d"), budget=1)
"""
ROLLED_BACK = ("serving.routing-changed", "registry.alias-moved", "loop.rolled-back", "loop.turn-moved")


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Turn]]:
    home = tmp_path_factory.mktemp("worse")
    return home, replayed(home, written(tmp_path_factory.mktemp("a"), ENDING, **WORSE), days=10)[1]


@pytest.fixture(scope="module")
def promoted_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("promoted")
    replayed(home, written(tmp_path_factory.mktemp("b"), GOOD), days=4)
    return home


def test_a_challenger_that_late_labels_show_to_be_worse_is_rolled_back_by_itself(
    worse: tuple[Path, list[Turn]],
) -> None:
    home, (first, turn) = worse
    assert (turn.state, turn.version, turn.champion) == (TurnState.ROLLED_BACK, 2, 1)
    last = turn.moves[-1]
    assert "log loss above the champion's" in last.text
    assert "rows) >" in last.evidence[0]
    assert first.version == 1
    with closing(opened(home)) as store:
        routing = get_endpoint(store, "slow").routing
        assert (routing.champion, routing.canary, routing.shadow) == (1, (), ())
        assert aliases(store, "slow")["champion"] == 1
        assert [event.data["to"] for event in events(store, type="loop.rolled-back")] == ["slow@1"]
        assert verify(store).kind == "intact"


def test_both_versions_are_judged_on_the_same_rows(worse: tuple[Path, list[Turn]]) -> None:
    home, (_, turn) = worse
    began = next(move.at for move in turn.moves if move.state is TurnState.SHADOW)
    with closing(opened(home)) as store:
        rows = [row for table in decision_tables(store, "slow", since=began) for row in table.to_pylist()]
    during = [row for row in rows if began < row["at"] <= turn.moves[-1].at]
    answered = {row["id"]: row["version"] for row in during if row["stage"] != "shadow"}
    mirrored = {row["mirrors"]: row["version"] for row in during if row["stage"] == "shadow"}
    assert set(mirrored) == set(answered)
    assert all({answered[id_], mirrored[id_]} == {1, 2} for id_ in answered)


def test_by_hand_it_is_one_change_and_no_request_fails(promoted_home: Path, actor: Actor) -> None:
    """The gateway polls on while requests run against it; the routes are swapped as a whole."""
    with closing(opened(promoted_home, at=START + timedelta(days=4))) as store:
        assert get_endpoint(store, "slow").routing.champion == 2
        assert get_endpoint(store, "slow").routing.broken_rows == "flag"
        before = len(events(store, limit=10_000))
        answered = asyncio.run(_asked_while_rolling_back(store, actor))
        assert [answered[0], answered[-1]] == [2, 1]
        assert answered == sorted(answered, reverse=True), "never back and forth"
        told = [event.type for event in events(store, limit=10_000)[before:]]
        assert told == [*ROLLED_BACK, "serving.decisions-sealed"], "one change, and nothing else is needed for it"
        assert list_turns(store)[0].state in (TurnState.ROLLED_BACK, TurnState.KEPT)
        assert aliases(store, "slow")["champion"] == 1
        with pytest.raises(NothingBefore):
            roll_back(store, "slow", actor=actor, because="and once more")
        serve_version(store, "slow@2", actor=actor, because="it was not the model after all")
        roll_back(store, "slow", actor=actor, because="it was")
        routing = get_endpoint(store, "slow").routing
        assert routing.champion == 1, "what was routed by hand can be taken back too"
        assert routing.broken_rows == "flag", "what the file says of requests holds whoever answers"


async def _asked_while_rolling_back(store: Store, actor: Actor) -> list[int]:
    """Ask again and again until the version before answers; return who answered."""
    online = open_online(store)
    gateway = Gateway(store, releases=RegisteredReleases(store), allowed=ALLOWED_TYPES, online=online, poll_s=0.05)
    await gateway.start()
    answered: list[int] = []
    ask = Ask(columns={"parcel_id": ["p1600"]})
    try:
        while len(answered) < 5 or answered[-1] == 2:
            answered.append((await gateway.infer("slow", ask)).version)
            if len(answered) == 4:
                await asyncio.to_thread(roll_back, store, "slow", actor=actor, because="customers complain")
            await asyncio.sleep(0.002)
        return answered
    finally:
        await gateway.stop()
        online.close()


def test_what_answers_everybody_or_is_over_cannot_be_cancelled(promoted_home: Path, actor: Actor) -> None:
    with closing(opened(promoted_home, at=START + timedelta(days=4))) as store:
        for turn in list_turns(store):
            with pytest.raises(NotToBeCancelled):
                cancel_turn(store, turn.id, actor=actor, because="enough")


def test_there_is_nothing_to_roll_back_where_nothing_answers(sqlite_store: Store, actor: Actor) -> None:
    with pytest.raises(NoEndpoint):
        roll_back(sqlite_store, "late", actor=actor, because="why not")
