"""A stretch of the past, replayed: decided, judged and rolled out as in production, and the same each time."""

import contextlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.loop.parcels import write_project

from fairlead.declare import load_project
from fairlead.kernel import Settings, VirtualClock
from fairlead.loop import Replay, ReplayReport, Turn, TurnState, frontier_picture, frontier_table, list_turns, report_of
from fairlead.monitoring import performance
from fairlead.serving import decisions, get_endpoint
from fairlead.store import Store, open_store, verify

START = datetime(2013, 2, 1, tzinfo=UTC)
END = START + timedelta(days=12)
HOURS = 12 * 24
RETRAIN = "slow.retrain_when(fl.every('4d'), approve=fl.by('ops-lead'))\n"
ROLLOUT = 'slow.serve(rollout=fl.shadow("12h") >> fl.canary(10, 50, each="12h", decisions=5) >> fl.full'


def opened(home: Path) -> Store:
    return open_store(Settings(home=str(home), workers=1), clock=VirtualClock(START), seed=5)


def replayed(home: Path, file: Path) -> tuple[ReplayReport, list[Turn]]:
    project = load_project(file)
    with closing(opened(home)) as store:
        driver = Replay(store, project, start=START, end=END)
        driver.run(lambda _told: None)
        return report_of(store, driver.model, start=START, end=END), list_turns(store)[::-1]


@pytest.fixture(scope="module", autouse=True)
def away_from_git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work where no repository's state is captured with the runs: somebody may edit it between two replays."""
    with contextlib.chdir(tmp_path_factory.mktemp("away")):
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_project(
        tmp_path_factory.mktemp("replay") / "parcels.py",
        **{'slow.serve(rollout=fl.shadow("1d") >> fl.canary(10, each="1d") >> fl.full': ROLLOUT},
    )
    path.write_text(path.read_text("utf-8") + RETRAIN, "utf-8")
    return path


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")


@pytest.fixture(scope="module")
def first(homes: tuple[Path, Path], file: Path) -> tuple[ReplayReport, list[Turn]]:
    return replayed(homes[0], file)


def test_every_row_is_decided_once_and_its_outcome_arrives(
    first: tuple[ReplayReport, list[Turn]], homes: tuple[Path, Path]
) -> None:
    report, _ = first
    assert report.decisions == HOURS * 2
    with closing(opened(homes[0])) as store:
        found = performance(store, "slow", version=None, since=START, until=END)
        assert found.decisions == HOURS * 2
        assert found.labelled == HOURS * 2 - 3, "outcomes are two hours late"
        answered = [one for one in decisions(store, "slow", limit=10_000) if one.stage != "shadow"]
        assert len({one.key["parcel_id"] for one in answered if one.key}) == HOURS * 2
        assert verify(store).kind == "intact"


def test_the_turns_go_from_trigger_to_verdict(first: tuple[ReplayReport, list[Turn]]) -> None:
    report, turns = first
    assert report.turns >= 2
    earlier = turns[1]
    states = list(dict.fromkeys(move.state for move in earlier.moves))
    assert states == [
        TurnState.TRAINING, TurnState.WAITING, TurnState.SHADOW, TurnState.CANARY, TurnState.FULL, TurnState.KEPT
    ]  # fmt: skip
    assert earlier.opened_at - turns[0].opened_at >= timedelta(days=4)
    hours = [move.at - earlier.opened_at for move in earlier.moves if move.state is TurnState.CANARY]
    assert hours[0] == timedelta(hours=12)
    assert hours[1] >= timedelta(hours=24), "a stage lasts until its version took five decisions"
    assert turns[0].trigger.kind == "hand"
    assert earlier.trigger.kind == "schedule"


def test_who_answers_follows_the_turns(
    first: tuple[ReplayReport, list[Turn]], homes: tuple[Path, Path]
) -> None:  # fmt: skip
    _, turns = first
    full = [turn.version for turn in turns if any(move.state is TurnState.FULL for move in turn.moves)]
    with closing(opened(homes[0])) as store:
        assert get_endpoint(store, "slow").routing.champion == full[-1]


def test_a_replay_repeats_itself_to_the_last_byte(
    first: tuple[ReplayReport, list[Turn]], homes: tuple[Path, Path], file: Path
) -> None:
    again, turns = replayed(homes[1], file)
    assert [turn.moves for turn in turns] == [turn.moves for turn in first[1]]
    assert (again.events, again.root) == (first[0].events, first[0].root)
    assert again.months == first[0].months


def test_a_finished_replay_has_nothing_left_to_do(
    first: tuple[ReplayReport, list[Turn]], homes: tuple[Path, Path], file: Path
) -> None:
    assert replayed(homes[0], file)[0].decisions == first[0].decisions


def test_policies_are_drawn_beside_each_other(first: tuple[ReplayReport, list[Turn]]) -> None:
    report = first[0]
    some = [("declared", report), ("never <again>", report)]
    assert len(list(frontier_table(some))) == 3
    picture = frontier_picture(some)
    assert "never &lt;again&gt;" in picture
    assert picture.count("<circle") == 2
