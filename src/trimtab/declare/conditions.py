"""Policies: conditions, joined by ``|`` and ``&``, that will be judged when there is something to judge.

Each expression wraps one frozen spec (``.spec``); two are equal when their specs are.
"""

from typing import TYPE_CHECKING, NoReturn

from trimtab.declare.durations import DurationLike, frequency_of
from trimtab.declare.mistakes import BadPolicy
from trimtab.declare.places import here
from trimtab.declare.records import AllOf, AnyOf, Every
from trimtab.declare.records import Condition as ConditionSpec
from trimtab.declare.records import Policy as PolicySpec
from trimtab.declare.render import show_policy
from trimtab.declare.spelling import refuse_truth


class Policy:
    """Something that will be judged yes or no: a condition, or several joined."""

    __slots__ = ("spec", "where")
    spec: PolicySpec

    def __init__(self, spec: PolicySpec) -> None:
        self.spec = spec
        self.where = here()

    def __or__(self, other: "Policy") -> "Policy":
        return any_of(self, other)

    def __and__(self, other: "Policy") -> "Policy":
        return all_of(self, other)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304  it always raises
        refuse_truth(self, policy=True)

    def __eq__(self, other: object) -> bool:
        return self.spec == other.spec if isinstance(other, Policy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return show_policy(self.spec)

    if not TYPE_CHECKING:  # A type checker reports these by itself.

        def __invert__(self) -> NoReturn:
            raise BadPolicy(
                f"~ cannot turn {self!r} round",
                where=here(),
                why="A condition that could not be measured must fail, turned round or not.",
                next="write the opposite comparison: < for >=, > for <=",
            )

        def _refuse_order(self, other: object) -> NoReturn:
            raise BadPolicy(
                f"{self!r} is compared with {other!r}",
                where=here(),
                why="It is a condition already. Without parentheses | and & bind closer than > and <.",
                next="put each condition in parentheses: (tt.errors > 0.01) | (tt.latency.p99 > '20ms')",
            )

        __lt__ = __le__ = __gt__ = __ge__ = _refuse_order


class Condition(Policy):
    """One comparison: ``tt.auc >= 0.65``. One line of a policy, and one line of evidence when it is judged."""

    __slots__ = ()
    spec: ConditionSpec


def every(duration: DurationLike) -> Policy:
    """True when this much time has passed since the last time: ``tt.every("30d")``."""
    return Policy(Every(seconds=frequency_of(duration, what="every")))


def any_of(*terms: Policy) -> Policy:
    """True when one of them is; the spelled-out form of ``|``."""
    return _joined(AnyOf, "any_of", terms)


def all_of(*terms: Policy) -> Policy:
    """True when each of them is; the spelled-out form of ``&``."""
    return _joined(AllOf, "all_of", terms)


def _joined(kind: type[AnyOf | AllOf], word: str, terms: tuple[Policy, ...]) -> Policy:
    for term in terms:
        if not isinstance(term, Policy):
            raise BadPolicy(
                f"{word} is given {term!r}, which is no condition",
                where=here(),
                why="Only conditions are joined; without parentheses | and & bind closer than > and <.",
                next="put each condition in parentheses: (tt.errors > 0.01) | (tt.latency.p99 > '20ms')",
            )
    flat: list[PolicySpec] = []
    for term in terms:
        flat += term.spec.terms if isinstance(term.spec, AnyOf | AllOf) and type(term.spec) is kind else [term.spec]
    if not flat:
        raise BadPolicy(
            f"{word}() joins nothing",
            where=here(),
            why="A policy without conditions would hold always or never.",
            next=f"write tt.{word}(tt.errors > 0.01, tt.latency.p99 > '20ms')",
        )
    return Policy(kind(terms=tuple(flat)) if len(flat) > 1 else flat[0])
