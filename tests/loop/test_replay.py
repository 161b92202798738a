"""A stretch of the past, replayed: decided, judged and rolled out as in production, and the same each time."""

import contextlib
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from tests.loop.replays import START, opened, replayed, written

from trimtab.declare import Every, RetrainingSpec, load_project
from trimtab.governance import evidence_pack, verify_evidence
from trimtab.loop import (
    Replay,
    ReplayReport,
    Turn,
    TurnState,
    frontier_picture,
    frontier_policies,
    frontier_table,
    report_lines,
)
from trimtab.monitoring import performance
from trimtab.serving import Gateway, decisions, get_endpoint
from trimtab.store import verify

DAYS = 12
ROWS = DAYS * 48
ENDING = """
slow.serve(rollout=tt.shadow("12h") >> tt.canary(10, 50, each="12h", decisions=5) >> tt.full)
slow.retrain_when(tt.every("4d"), approve=tt.by("ops-lead"))
"""
Replayed = tuple[ReplayReport, list[Turn]]


@pytest.fixture(scope="module", autouse=True)
def away_from_git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work where no repository's state is captured with the runs: somebody may edit it between two replays."""
    with contextlib.chdir(tmp_path_factory.mktemp("away")):
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("project"), ENDING)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first")


@pytest.fixture(scope="module")
def first(home: Path, file: Path) -> Replayed:
    return replayed(home, file, days=DAYS)


def test_every_row_is_decided_once_and_its_outcome_arrives(first: Replayed, home: Path) -> None:
    assert first[0].decisions == ROWS
    with closing(opened(home)) as store:
        found = performance(store, "slow", version=None, since=START, until=START + timedelta(days=DAYS))
        assert (found.decisions, found.labelled) == (ROWS, ROWS - 3), "outcomes are two hours late"
        answered = [one for one in decisions(store, "slow", limit=10_000) if one.stage != "shadow"]
        assert len({one.key["parcel_id"] for one in answered if one.key}) == ROWS
        assert verify(store).kind == "intact"


def test_the_turns_go_from_trigger_to_verdict(first: Replayed) -> None:
    report, turns = first
    assert report.turns == 3
    turn = turns[1]
    assert list(dict.fromkeys(move.state for move in turn.moves)) == [
        TurnState.TRAINING, TurnState.WAITING, TurnState.SHADOW, TurnState.CANARY, TurnState.FULL, TurnState.KEPT
    ]  # fmt: skip
    assert [one.trigger.kind for one in turns] == ["hand", "schedule", "schedule", "schedule"]
    assert turn.opened_at - turns[0].opened_at >= timedelta(days=4)
    began = [move.at - turn.opened_at for move in turn.moves if move.state is TurnState.CANARY]
    assert began[0] == timedelta(hours=12)
    assert began[1] > timedelta(hours=24), "5 decisions at 10 % take longer than the 12 hours"


def test_who_answers_follows_the_turns(first: Replayed, home: Path) -> None:
    reached = [turn.version for turn in first[1] if any(move.state is TurnState.FULL for move in turn.moves)]
    with closing(opened(home)) as store:
        assert get_endpoint(store, "slow").routing.champion == reached[-1]


def test_the_evidence_of_each_promoted_version_verifies(first: Replayed, home: Path, tmp_path: Path) -> None:
    promoted = [turn for turn in first[1] if any(move.state is TurnState.FULL for move in turn.moves)]
    with closing(opened(home)) as store:
        for turn in promoted:
            assert turn.ref is not None
            pack = tmp_path / f"{turn.ref}.zip"
            pack.write_bytes(evidence_pack(store, turn.ref).data)
            found = verify_evidence(pack, home=home)
            assert found.kind == "intact", found.what
            assert any("data check" in line and "rollout" in line for line in found.proved), found.proved


def test_a_replay_repeats_itself_to_the_last_byte(
    first: Replayed, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again, turns = replayed(tmp_path_factory.mktemp("second"), file, days=DAYS)
    assert turns == first[1]
    assert (again.events, again.root) == (first[0].events, first[0].root)
    assert again.months == first[0].months


def test_a_finished_replay_has_nothing_left_to_do(first: Replayed, home: Path, file: Path) -> None:
    again, turns = replayed(home, file, days=DAYS)
    assert (again.decisions, turns) == (first[0].decisions, first[1])


def test_its_report_is_a_table_and_policies_are_drawn_beside_each_other(first: Replayed) -> None:
    report = first[0]
    lines = list(report_lines(report))
    assert lines[1].split()[:3] == ["2013-02", str(ROWS), str(ROWS - 3)]
    assert report.root in lines[-1]
    some = [("declared", report), ("never <again>", report)]
    assert len(list(frontier_table(some))) == 3
    picture = frontier_picture(some)
    assert "never &lt;again&gt;" in picture
    assert picture.count("<circle") == 2


def test_a_policy_that_is_asked_for_is_compared_with_the_declared_one(file: Path, first: Replayed) -> None:
    (model,) = load_project(file).spec.models
    asked = RetrainingSpec(when=Every(seconds=86400.0))
    found = dict(frontier_policies(model, asked=asked))
    assert list(found) == ["declared", "asked", "never", "loss +10 %", "every 30 days", "every week"]
    assert (found["declared"], found["asked"]) == (model.retraining, asked)
    early = msgspec.structs.replace(first[0], loss=None)
    assert frontier_picture([("declared", early), ("asked", early)]).count("<circle") == 0, "no outcome is known yet"


class Killed(BaseException):
    """Ends a replay where a kill would: nothing that could hide it catches it."""


class Dying(Replay):
    """A replay that ends before it decides on the rows of an hour; when it is done again, with some decided on."""

    def __init__(self, *given: Any, dies_at: int, **words: Any) -> None:
        super().__init__(*given, **words)
        self._hours_left = dies_at

    async def _decide(self, gateway: Gateway, rows: pa.Table, *, version: int | None = None) -> None:
        self._hours_left -= 1
        if not self._hours_left:
            if version is not None:
                await super()._decide(gateway, rows.slice(1), version=version)
            raise Killed
        await super()._decide(gateway, rows, version=version)


def test_killed_during_a_canary_each_row_is_answered_by_the_version_that_would_have(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ending = 'slow.serve(rollout=tt.canary(50, each="2d") >> tt.full)\nslow.retrain_when(tt.every("1d"), budget=1)\n'
    file = written(tmp_path_factory.mktemp("split"), ending)
    calm, home = tmp_path_factory.mktemp("calm"), tmp_path_factory.mktemp("killed")
    _, turns = replayed(calm, file, days=2)
    assert turns[-1].state is TurnState.CANARY
    end = START + timedelta(days=2)
    for attempt, dies_at in enumerate((30, 1, 5, 1000)):
        with closing(opened(home)) as store, contextlib.suppress(Killed):
            dying = Dying(store, load_project(file), start=START, end=end, attempt=attempt, dies_at=dies_at)
            dying.run(lambda _: None)
    assert _who_answered(home) == _who_answered(calm)


def _who_answered(home: Path) -> dict[str, int]:
    with closing(opened(home, at=START + timedelta(days=2))) as store:
        found = [one for one in decisions(store, "slow", limit=10_000) if one.stage != "shadow"]
        assert len({one.id for one in found}) == len(found)
        return {str(one.key): one.version for one in found}


class DyingBeforeShadows(Dying):
    """A replay that has answered the rows of an hour, and ends before a shadow has seen them."""

    async def _decide(self, gateway: Gateway, rows: pa.Table, *, version: int | None = None) -> None:
        self._hours_left -= 1
        if not self._hours_left:
            gateway._served.shadows.clear()
        await Replay._decide(self, gateway, rows, version=version)
        if not self._hours_left:
            raise Killed


def test_killed_before_a_shadow_has_seen_an_answer_the_shadow_sees_it_afterwards(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rollout = 'slow.serve(rollout=tt.shadow("6h") >> tt.canary(50, each="1d") >> tt.full)\n'
    ending = f'{rollout}slow.retrain_when(tt.every("1d"))\n'
    file = written(tmp_path_factory.mktemp("mirrored"), ending)
    calm, home = tmp_path_factory.mktemp("calm"), tmp_path_factory.mktemp("killed")
    replayed(calm, file, days=2)
    end = START + timedelta(days=2)
    for attempt, dies_at in enumerate((26, 2, 6, 1000)):
        with closing(opened(home)) as store, contextlib.suppress(Killed):
            dying = DyingBeforeShadows(
                store, load_project(file), start=START, end=end, attempt=attempt, dies_at=dies_at
            )  # fmt: skip
            dying.run(lambda _: None)
    assert len(_who_mirrored(calm)) > 20
    assert _who_mirrored(home) == _who_mirrored(calm)


def _who_mirrored(home: Path) -> list[tuple[str, int]]:
    """Return each row that a shadow has seen, with the shadow, as often as it has."""
    with closing(opened(home, at=START + timedelta(days=2))) as store:
        found = [one for one in decisions(store, "slow", limit=10_000) if one.stage == "shadow"]
        return sorted((str(one.key), one.version) for one in found)


def test_where_keys_name_many_rows_each_is_decided_by_its_own_values_and_told_its_own_outcome(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Ten parcels that are weighed again and again, also when the replay is killed before a shadow has seen a row."""
    ending = 'slow.serve(rollout=tt.shadow("6h") >> tt.full)\nslow.retrain_when(tt.every("12h"), budget=1)\n'
    repeated = {'f"p{i}" for i': 'f"p{i % 10}" for i'}
    file, home = written(tmp_path_factory.mktemp("keys"), ending, **repeated), tmp_path_factory.mktemp("killed")
    project, end = load_project(file), START + timedelta(hours=20)
    for attempt, dies_at in enumerate((14, 2, 1000)):
        with closing(opened(home)) as store, contextlib.suppress(Killed):
            DyingBeforeShadows(store, project, start=START, end=end, attempt=attempt, dies_at=dies_at).run(
                lambda _: None
            )
    rows = project.namespace["parcels"]()
    rows = rows[(rows.sent >= START) & (rows.sent < end)]
    known = rows[rows.arrived <= end]
    with closing(opened(home, at=end)) as store:
        found = decisions(store, "slow", limit=10_000)
        answered = {one.as_of: (one.key or {})["parcel_id"] for one in found if one.stage != "shadow"}
        assert answered == dict(zip(rows.sent, rows.parcel_id, strict=True))
        weights = dict(zip(rows.sent, rows.weight, strict=True))
        assert all(one.features["weight"] == weights[one.as_of] for one in found)
        assert sum(one.stage == "shadow" for one in found) >= 12
        told = performance(store, "slow", version=None, since=START, until=end)
        assert (told.decisions, told.labelled) == (len(rows), len(known))
        assert told.value("observed") == pytest.approx((known.delay > 50).mean())


def test_killed_between_the_first_approval_and_its_rollout_it_goes_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_given: object, **_words: object) -> None:
        raise Killed

    end = START + timedelta(hours=2)
    with monkeypatch.context() as patch, closing(opened(tmp_path)) as store:
        patch.setattr("trimtab.loop.rollout.start_rollout", killed)
        with pytest.raises(Killed):
            Replay(store, load_project(file), start=START, end=end).run(lambda _: None)
    with closing(opened(tmp_path)) as store:
        replay = Replay(store, load_project(file), start=START, end=end, attempt=1)
        replay.run(lambda _: None)
        assert (replay.decisions, get_endpoint(store, "slow").routing.champion) == (4, 1)
