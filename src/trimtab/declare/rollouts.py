"""Rollouts: how a version reaches people, stage by stage."""

from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from trimtab.declare.durations import DurationLike, seconds_of
from trimtab.declare.mistakes import BadRollout, NotYesOrNo
from trimtab.declare.places import here
from trimtab.declare.records import Stage
from trimtab.declare.render import show_rollout

_WHOLE = 'tt.shadow("1d") >> tt.canary(5, 25, 50, each="12h") >> tt.full'


class Rollout:
    """Stages in their order: ``tt.shadow("1d") >> tt.canary(5, 25, 50, each="12h") >> tt.full``."""

    __slots__ = ("stages",)

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self.stages = stages

    def then(self, *others: "Rollout") -> "Rollout":
        """Go on with other stages; the spelled-out form of ``>>``. Raises ``BadRollout`` when the order is wrong."""
        stages = self.stages
        for other in others:
            if not isinstance(other, Rollout):
                raise BadRollout(
                    f"{self!r} goes on with {other!r}, which is no stage",
                    where=here(),
                    why="Stages are tt.shadow(...), tt.canary(...) and tt.full.",
                    next=f"write for example {_WHOLE}",
                )
            stages += other.stages
        _check_order(stages)
        return Rollout(stages)

    def __rshift__(self, other: "Rollout") -> "Rollout":
        return self.then(other)

    def __bool__(self) -> NoReturn:
        raise NotYesOrNo(
            f"{self!r} is neither true nor false",
            where=here(),
            why="Python's 'and' and 'or' would keep one side and drop the other without a word.",
            next=f"join stages with >> or .then(...): {_WHOLE}",
        )

    def __eq__(self, other: object) -> bool:
        return self.stages == other.stages if isinstance(other, Rollout) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.stages)

    def __repr__(self) -> str:
        return show_rollout(self.stages)

    if not TYPE_CHECKING:  # A type checker reports these by itself.

        def __call__(self, *_: object, **__: object) -> NoReturn:
            raise BadRollout(
                f"{self!r} is a rollout, not a function",
                where=here(),
                why="tt.full has nothing to set: it is all traffic, for good.",
                next=f"write {self!r}",
            )


def shadow(duration: DurationLike, *, decisions: int = 0) -> Rollout:
    """Send it a copy of the traffic for a while; its answers are compared and never given to anyone.

    With ``decisions`` it stays longer, until it has seen so many. Raises ``BadRollout``.
    """
    hold_s = seconds_of(duration, what="shadow")
    return Rollout((Stage(kind="shadow", percent=0.0, hold_s=hold_s, decisions=_count(decisions, "shadow")),))


def canary(*percents: float, each: DurationLike, decisions: int = 0) -> Rollout:
    """Let it answer a share of the traffic, in percent, ``each`` share for a while, and until it took ``decisions``.

    Raises ``BadRollout``.
    """
    if not percents:
        raise BadRollout(
            "canary names no share of the traffic",
            where=here(),
            why="Each number is a stage, in percent.",
            next='write for example tt.canary(5, 25, 50, each="12h")',
        )
    for percent in percents:
        number = isinstance(percent, int | float) and not isinstance(percent, bool)
        if not number or not 0 < percent < 100:
            raise BadRollout(
                f"a canary of {percent!r} percent is no share of the traffic",
                where=here(),
                why="A canary answers more than 0 and less than 100 percent; all of it is tt.full.",
                next='write for example tt.canary(5, 25, 50, each="12h") >> tt.full',
            )
    hold_s = seconds_of(each, what="each")
    least = _count(decisions, "canary")
    stages = tuple(Stage(kind="canary", percent=float(percent), hold_s=hold_s, decisions=least) for percent in percents)
    _check_order(stages)
    return Rollout(stages)


full = Rollout((Stage(kind="full", percent=100.0),))
"""All traffic, for good: the last stage of every rollout."""


def check_whole(rollout: object) -> tuple[Stage, ...]:
    """Return the stages of a whole rollout. Raises ``BadRollout`` when it does not end with ``tt.full``."""
    if not isinstance(rollout, Rollout):
        raise BadRollout(
            f"rollout={rollout!r} is no rollout",
            where=here(),
            why="A rollout is a chain of stages.",
            next=f"write rollout={_WHOLE}",
        )
    if rollout.stages[-1].kind != "full":
        raise BadRollout(
            f"{rollout!r} never ends",
            where=here(),
            why="A version that passed every stage takes all traffic.",
            next=f"write {rollout!r} >> tt.full",
        )
    return rollout.stages


def _check_order(stages: tuple[Stage, ...]) -> None:
    for before, after in pairwise(stages):
        shrinks = after.percent <= before.percent and not before.kind == after.kind == "shadow"
        if before.kind == "full" or shrinks or (before.kind == after.kind == "shadow"):
            raise BadRollout(
                f"{show_rollout(stages)} goes from {_share(before)} to {_share(after)}",
                where=here(),
                why="Each stage reaches more people than the one before; shadow is first and full is last.",
                next=f"write for example {_WHOLE}",
            )


def _count(decisions: object, word: str) -> int:
    if isinstance(decisions, bool) or not isinstance(decisions, int) or decisions < 0:
        raise BadRollout(
            f"{word}(decisions={decisions!r}) is no number of decisions",
            where=here(),
            why="A stage can wait until its version has seen so many requests.",
            next="write a whole number, for example decisions=500",
        )
    return decisions


def _share(stage: Stage) -> str:
    return {"shadow": "shadow", "canary": f"{stage.percent:g} percent", "full": "full"}[stage.kind]
