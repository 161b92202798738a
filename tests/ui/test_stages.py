"""The steps of a turn: what lies behind it, where it stands, what is left."""

from datetime import UTC, datetime, timedelta

import pytest

from trimtab.declare import Stage
from trimtab.loop import Move, Trigger, TriggerKind, Turn, TurnState
from trimtab.ui.stages import Step, steps_of, tone_of_turn
from trimtab.ui.tones import tone_of

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
ROLLOUT = (
    Stage(kind="shadow", percent=0.0, hold_s=86400.0),
    Stage(kind="canary", percent=5.0, hold_s=43200.0),
    Stage(kind="canary", percent=50.0, hold_s=43200.0),
    Stage(kind="full", percent=100.0),
)
TRAINED = (TurnState.TRAINING, TurnState.TRAINING, TurnState.WAITING)


def _turn(*states: TurnState, champion: int | None = 2) -> Turn:
    """Return a turn that went through these states, an hour in each."""
    moves = tuple(
        Move(at=NOON + timedelta(hours=i), state=state, text=f"{state.value} now") for i, state in enumerate(states)
    )
    last = moves[-1]
    return Turn(
        id="t", model="late", trigger=Trigger(kind=TriggerKind.HAND, text="so"), state=last.state, opened_at=NOON,
        since=last.at, version=3 if TurnState.WAITING in states else None, champion=champion, moves=moves,
        ended_at=None if last.state.is_open else last.at,
    )  # fmt: skip


def _steps(turn: Turn, *, hours: float = 10.0) -> dict[str, Step]:
    return {step.name: step for step in steps_of(turn, ROLLOUT, now=NOON + timedelta(hours=hours))}


def test_a_turn_that_trains_has_everything_before_it() -> None:
    steps = _steps(_turn(TurnState.TRAINING))
    assert list(steps) == ["training", "approval", "shadow", "5 % canary", "50 % canary", "full", "verdict"]
    assert [step.place for step in steps.values()] == ["now", *["next"] * 6]


def test_a_canary_counts_down_to_its_next_share() -> None:
    turn = _turn(*TRAINED, TurnState.SHADOW, TurnState.CANARY)
    steps = _steps(turn, hours=6)
    assert [step.place for step in steps.values()] == ["done", "done", "done", "now", "next", "next", "next"]
    assert steps["5 % canary"].left_s == pytest.approx(43200 - 2 * 3600)
    assert steps["shadow"].left_s is None
    assert _steps(turn, hours=30)["5 % canary"].left_s == 0


def test_the_second_canary_is_not_the_first() -> None:
    steps = _steps(_turn(*TRAINED, TurnState.SHADOW, TurnState.CANARY, TurnState.CANARY))
    assert (steps["5 % canary"].place, steps["50 % canary"].place) == ("done", "now")
    assert steps["50 % canary"].at == NOON + timedelta(hours=5)


def test_all_of_the_traffic_waits_for_late_labels_without_a_clock() -> None:
    steps = _steps(_turn(*TRAINED, TurnState.SHADOW, TurnState.CANARY, TurnState.CANARY, TurnState.FULL))
    assert (steps["full"].place, steps["full"].left_s, steps["verdict"].place) == ("now", None, "next")


def test_the_first_version_has_no_stage_but_the_last() -> None:
    steps = _steps(_turn(*TRAINED, TurnState.FULL, champion=None))
    assert list(steps) == ["training", "approval", "full", "verdict"]


def test_what_a_person_did_by_hand_lies_behind_all_the_same() -> None:
    steps = _steps(_turn(TurnState.WAITING))
    assert (steps["training"].place, steps["training"].at, steps["approval"].place) == ("done", None, "now")


@pytest.mark.parametrize("end", [state for state in TurnState if not state.is_open])
def test_an_end_is_the_verdict_with_its_reason(end: TurnState) -> None:
    steps = list(_steps(_turn(*TRAINED, TurnState.SHADOW, end)).values())
    verdict = steps[-1]
    assert (verdict.name, verdict.place, verdict.said) == (end.value, "done", f"{end.value} now")
    assert verdict.tone == tone_of_turn(end)
    assert [step.place for step in steps[3:-1]] == ["skipped"] * 3


def test_only_what_went_well_is_green() -> None:
    assert [state for state in TurnState if tone_of_turn(state) == "ok"] == [TurnState.KEPT]


@pytest.mark.parametrize("state", list(TurnState))
def test_a_state_looks_the_same_everywhere(state: TurnState) -> None:
    assert tone_of(state.value) == tone_of_turn(state)
