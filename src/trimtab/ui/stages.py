"""Where a turn of the loop stands: its steps from training to verdict, each with its time, and what is left of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from trimtab.declare import Stage
from trimtab.loop import Move, Turn, TurnState

Place = Literal["done", "now", "next", "skipped"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its name, whether it is over, and when it began.

    ``tone`` is that of its state; ``left_s`` are the seconds that it still holds (0: it is due), None where nothing
    counts down; ``said`` is the sentence that the turn keeps of it.
    """

    name: str
    place: Place
    tone: str
    at: datetime | None = None
    said: str = ""
    evidence: tuple[str, ...] = ()
    left_s: float | None = None


def steps_of(turn: Turn, stages: Sequence[Stage], *, now: datetime) -> tuple[Step, ...]:
    """Return the steps of a turn under a rollout's stages.

    A turn without a champion before it has no stages but the last.
    """
    rollout = list(stages) if turn.champion is not None or not turn.state.rolls_out else list(stages[-1:])
    entered = [move for move in turn.moves if move.state.rolls_out]
    if turn.champion is None and entered:
        rollout = list(stages[-1:])
    begun = next((move for move in turn.moves if move.state is TurnState.TRAINING), None)
    waited = next((move for move in turn.moves if move.state is TurnState.WAITING), None)
    steps = [
        _step("training", TurnState.TRAINING, begun, turn, over=turn.version is not None),
        _step("approval", TurnState.WAITING, waited, turn, over=bool(entered)),
    ]
    for i, stage in enumerate(rollout):
        move = entered[i] if i < len(entered) else None
        left = None
        if turn.state.rolls_out and i == len(entered) - 1 and stage.hold_s:
            left = max(0.0, (turn.since + timedelta(seconds=stage.hold_s) - now).total_seconds())
        steps.append(
            _step(name_of(stage), TurnState(stage.kind), move, turn, is_last=i == len(entered) - 1, left_s=left)
        )
    last = turn.moves[-1] if turn.moves else None
    verdict = Step(name="verdict", place="next", tone="off")
    if not turn.state.is_open:
        verdict = Step(
            name=turn.state.value, place="done", tone=tone_of_turn(turn.state), at=turn.ended_at,
            said=last.text if last else "", evidence=last.evidence if last else (),
        )  # fmt: skip
    return (*steps, verdict)


def name_of(stage: Stage) -> str:
    """Return a stage in two words at most."""
    return f"{stage.percent:g} % canary" if stage.kind == "canary" else stage.kind


def tone_of_turn(state: TurnState) -> str:
    """Return the tone of a turn's state."""
    match state:
        case TurnState.KEPT:
            return "ok"
        case TurnState.TRAINING | TurnState.CANARY | TurnState.FULL:
            return "go"
        case TurnState.WAITING | TurnState.SHADOW:
            return "wait"
        case TurnState.ROLLED_BACK | TurnState.REJECTED | TurnState.FAILED:
            return "bad"
        case TurnState.REFUSED:
            return "warn"
        case TurnState.CANCELLED:
            return "off"


def _step(
    name: str,
    state: TurnState,
    move: Move | None,
    turn: Turn,
    *,
    over: bool = False,
    is_last: bool = True,
    left_s: float | None = None,
) -> Step:
    """Return a step. ``over``: it lies behind the turn, although the turn never stood there (it was done by hand)."""
    if move is None:
        place: Place = "done" if over else "next" if turn.state.is_open else "skipped"
        return Step(name=name, place=place, tone="ok" if over else "off")
    is_now = turn.state is state and is_last
    return Step(
        name=name, place="now" if is_now else "done", tone=tone_of_turn(state) if is_now else "ok", at=move.at,
        said=move.text, evidence=move.evidence, left_s=left_s,
    )  # fmt: skip
