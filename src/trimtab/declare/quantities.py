"""Quantities: what is measured, and the conditions that comparing it makes: ``tt.auc >= 0.65``.

Each wraps one frozen spec (``.spec``); two are equal when their specs are.
"""

from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec

from trimtab.declare.conditions import Condition
from trimtab.declare.durations import DurationLike, duration_text, parse_duration, seconds_of
from trimtab.declare.meanings import MEANINGS, Meaning
from trimtab.declare.mistakes import BadPolicy, UnknownWord
from trimtab.declare.places import here
from trimtab.declare.records import AtApproval, Metric, Scaled, Threshold
from trimtab.declare.records import Condition as ConditionSpec
from trimtab.declare.render import show_policy
from trimtab.declare.spelling import closest, refuse_truth

Comparing = Literal["<", "<=", ">", ">="]
_TURNED: dict[Comparing, Comparing] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OWN = ("spec", "where")
GAPS = ("gap", "gap_beyond_chance")


class Quantity:
    """Something measured, or made of it by a factor and an offset; comparing it makes a condition."""

    __slots__ = ("spec", "where")
    spec: Metric | Scaled | AtApproval

    def __init__(self, spec: Metric | Scaled | AtApproval) -> None:
        self.spec = spec
        self.where = here()

    def __lt__(self, other: "Quantity | float | str") -> Condition:
        return _condition(self, "<", other)

    def __le__(self, other: "Quantity | float | str") -> Condition:
        return _condition(self, "<=", other)

    def __gt__(self, other: "Quantity | float | str") -> Condition:
        return _condition(self, ">", other)

    def __ge__(self, other: "Quantity | float | str") -> Condition:
        return _condition(self, ">=", other)

    def at_least(self, least: "Quantity | float | str") -> Condition:
        """The spelled-out form of ``>=``."""
        return _condition(self, ">=", least)

    def at_most(self, most: "Quantity | float | str") -> Condition:
        """The spelled-out form of ``<=``."""
        return _condition(self, "<=", most)

    def above(self, bound: "Quantity | float | str") -> Condition:
        """The spelled-out form of ``>``."""
        return _condition(self, ">", bound)

    def below(self, bound: "Quantity | float | str") -> Condition:
        """The spelled-out form of ``<``."""
        return _condition(self, "<", bound)

    def __mul__(self, factor: float) -> "Quantity":
        return _scaled(self, "*", factor)

    def __rmul__(self, factor: float) -> "Quantity":
        return _scaled(self, "*", factor)

    def __add__(self, offset: float) -> "Quantity":
        return _scaled(self, "+", offset)

    def __radd__(self, offset: float) -> "Quantity":
        return _scaled(self, "+", offset)

    def __sub__(self, offset: float) -> "Quantity":
        return _scaled(self, "-", offset)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304  it always raises
        refuse_truth(self, policy=True)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Quantity):
            return self.spec == other.spec
        if isinstance(other, int | float | str):
            raise BadPolicy(
                f"{self!r} == {other!r} would never hold",
                where=here(),
                why="A measured number is hardly ever exactly another.",
                next=f"write {self!r} >= {other!r} or {self!r} <= {other!r}",
            )
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return show_policy(self.spec)

    if not TYPE_CHECKING:  # A type checker reports these by itself.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_") or name in _OWN:
                raise AttributeError(name)
            words = [word for word in dir(type(self)) if not word.startswith("_") and word not in _OWN]
            raise UnknownWord(
                f"{self!r} has no {name!r}",
                where=here(),
                why=f"It knows {', '.join(words)}.",
                next=closest(name, words) or f"compare it, for example {self!r} >= 0.65",
            )

        def _refuse_logic(self, other: object) -> NoReturn:
            raise BadPolicy(
                f"{self!r} is joined with {other!r} before it is compared",
                where=here(),
                why="Without parentheses | and & bind closer than > and <.",
                next="put each condition in parentheses: (tt.errors > 0.01) | (tt.latency.p99 > '20ms')",
            )

        __or__ = __ror__ = __and__ = __rand__ = _refuse_logic


class Measure(Quantity):
    """A metric: ``tt.log_loss``, ``tt.champion.log_loss``, ``tt.latency.p99``."""

    __slots__ = ()
    spec: Metric

    def worst(self, *, by: str, at_least: int = 0) -> "Measure":
        """Its worst value over the slices of the column ``by`` with ``at_least`` rows; 0 leaves that to Trimtab."""
        return self._sliced("worst", by, at_least)

    def gap(self, *, by: str, at_least: int = 0) -> "Measure":
        """Its largest minus its smallest value over the slices of ``by`` with ``at_least`` rows."""
        return self._sliced("gap", by, at_least)

    @property
    def beyond_chance(self) -> "Measure":
        """The part of a gap that chance does not explain: the lower end of its interval, 0 when chance explains it all.

        ``tt.recall.gap(by="origin").beyond_chance <= 0.1``: among many small groups some lie far apart by chance.
        """
        if self.spec.over_slices != "gap":
            raise BadPolicy(
                f"{self!r} has no part beyond chance",
                where=here(),
                why="It is asked of a gap between slices, which is never 0 even where all groups are alike.",
                next='write for example tt.recall.gap(by="origin").beyond_chance <= 0.1',
            )
        return Measure(msgspec.structs.replace(self.spec, over_slices="gap_beyond_chance"))

    def over(self, window: DurationLike) -> "Measure":
        """Measured in service over the last ``window``: ``tt.log_loss.over("7d")``."""
        if self.spec.of != "self" or self.spec.over_s is not None:
            raise BadPolicy(
                f"{self!r} takes no window",
                where=here(),
                why="A window belongs to what is measured in service; it is said once.",
                next=f'write for example tt.{self.spec.name}.over("7d")',
            )
        return Measure(msgspec.structs.replace(self.spec, over_s=seconds_of(window, what="over")))

    def _sliced(self, how: Literal["worst", "gap"], by: str, at_least: int) -> "Measure":
        if not MEANINGS[self.spec.name].sliced or self.spec.over_slices is not None:
            raise BadPolicy(
                f"{self!r} has no {how} slice",
                where=here(),
                why="It is cut into slices already."
                if self.spec.over_slices
                else "It is not measured for each slice of the held-out rows.",
                next="write for example tt.recall.gap(by=...)",
            )
        return Measure(msgspec.structs.replace(self.spec, over_slices=how, **sliced(by, at_least)))


def sliced(by: object, at_least: object) -> dict[str, str | int]:
    """Return the parts of a metric that say its slices. Raises ``BadPolicy``."""
    if not isinstance(by, str) or not by:
        raise BadPolicy(
            f"by={by!r} does not name a column",
            where=here(),
            why="Slices are the values of one column of the view's own contract, named by text.",
            next='write for example by="carrier"',
        )
    if isinstance(at_least, bool) or not isinstance(at_least, int) or at_least < 0:
        raise BadPolicy(
            f"at_least={at_least!r} is no number of rows",
            where=here(),
            why="A slice with fewer rows is left out, because its metric says little.",
            next="write for example at_least=1000",
        )
    return {"slice_by": by, "at_least": at_least}


def _condition(left: Quantity, op: Comparing, right: object) -> Condition:
    if isinstance(right, Quantity) and _whose(left) != "self" and _whose(right) == "self":
        # Read aloud, a condition begins with what is judged.
        left, op, right = right, _TURNED[op], left
    said = f"{left!r} {op} {right!r}"
    metric = _metric_of(left)
    if metric is None or metric.of != "self":
        raise BadPolicy(
            f"{said} does not judge the model",
            where=here(),
            why="One side is the model's own metric; the champion and the approval are what it is held against.",
            next="write for example tt.log_loss <= tt.champion.log_loss",
        )
    assert not isinstance(left.spec, AtApproval)
    if isinstance(right, Quantity):
        _check_pair(metric, right, said)
        return Condition(ConditionSpec(left=left.spec, op=op, right=right.spec))
    threshold = _threshold(right, metric, said, plain=isinstance(left.spec, Metric))
    return Condition(ConditionSpec(left=left.spec, op=op, right=threshold))


def _check_pair(metric: Metric, right: Quantity, said: str) -> None:
    other = _metric_of(right)
    if other is None:
        return  # the value at approval of whatever stands on the left
    same = (metric.name, metric.feature) == (other.name, other.feature)
    cut = (metric.over_slices, metric.slice_by) == (other.over_slices, other.slice_by)
    if other.of == "self":
        alike = MEANINGS[metric.name].unit == MEANINGS[other.name].unit and not (same and cut)
        why = "A metric is compared with another one of its unit, or with the champion's."
    else:
        alike = same and cut
        why = "Against the champion or the approval, the same metric over the same slices stands on both sides."
    if not alike:
        fixed = show_policy(
            msgspec.structs.replace(metric, of="champion" if other.of == "self" else other.of, over_s=None)
        )
        raise BadPolicy(f"{said} compares two different things", where=here(), why=why, next=f"compare it with {fixed}")


def _threshold(value: object, metric: Metric, said: str, *, plain: bool) -> Threshold:
    meaning = MEANINGS[metric.name]
    number: float | None = None
    text = ""
    if isinstance(value, str):
        text = " ".join(value.split())
        if meaning.unit == "seconds":
            number = parse_duration(text)
        elif text.endswith("%") and meaning.unit == "share":
            number = _percent(text)
    elif isinstance(value, int | float) and not isinstance(value, bool) and meaning.unit != "seconds":
        number = float(value)
    if number is None or not abs(number) < float("inf"):
        raise BadPolicy(
            f"{said} has no threshold that {metric.name} could have",
            where=here(),
            why=_UNITS[meaning.unit],
            next=f"write for example {_example(metric, value, meaning)}",
        )
    least, greatest = (0.0, meaning.greatest) if metric.over_slices in GAPS else (meaning.least, meaning.greatest)
    if plain and not least <= number <= greatest:
        percent = meaning.unit == "share" and 1 < number <= 100
        raise BadPolicy(
            f"{said} holds always or never",
            where=here(),
            why=f"{metric.name} lies between {least:g} and {greatest:g}.",
            next=f"for {number:g} percent write {number / 100:g}"
            if percent
            else "choose a threshold within that range",
        )
    return Threshold(value=number, text=text)


_UNITS = {
    "seconds": "A latency is compared with a duration that says its unit: ms or s.",
    "share": "It is compared with a number between 0 and 1, or a text such as '5%'.",
    "number": "It is compared with a finite number.",
}


def _example(metric: Metric, value: object, meaning: Meaning) -> str:
    name = show_policy(metric)
    if meaning.unit != "seconds":
        return f"{name} <= 0.5"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
        # Nobody promises an answer within 20 seconds; the number was milliseconds, unless it is a fraction.
        return f'{name} <= "{duration_text(value if value < 1 else value / 1000)}"'
    return f'{name} <= "20ms"'


def _percent(text: str) -> float | None:
    try:
        return round(float(text[:-1]) / 100, 12)
    except ValueError:
        return None


def _scaled(quantity: Quantity, op: Literal["*", "+", "-"], number: object) -> Quantity:
    if isinstance(number, Quantity):
        raise BadPolicy(
            f"{quantity!r} {op} {number!r} mixes two measured quantities",
            where=here(),
            why="A condition holds one quantity against another, so that its evidence is one line.",
            next="write for example tt.log_loss <= tt.champion.log_loss + 0.01",
        )
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < float("inf"):
        raise BadPolicy(
            f"{quantity!r} {op} {number!r} is no quantity",
            where=here(),
            why="A quantity is multiplied by, or added to, a finite number.",
            next="write for example tt.champion.log_loss * 1.03",
        )
    if op == "*" and number <= 0:
        raise BadPolicy(
            f"{quantity!r} * {number!r} turns the comparison round",
            where=here(),
            why="Times zero or less, a better value becomes a worse one.",
            next="multiply by a number greater than 0",
        )
    spec = quantity.spec if isinstance(quantity.spec, Scaled) else Scaled(metric=quantity.spec)
    if op == "*":
        return Quantity(Scaled(metric=spec.metric, factor=spec.factor * number, plus=spec.plus * number))
    return Quantity(Scaled(metric=spec.metric, factor=spec.factor, plus=spec.plus + (number if op == "+" else -number)))


def _metric_of(quantity: Quantity) -> Metric | None:
    spec = quantity.spec.metric if isinstance(quantity.spec, Scaled) else quantity.spec
    return spec if isinstance(spec, Metric) else None


def _whose(quantity: Quantity) -> str:
    metric = _metric_of(quantity)
    return metric.of if metric is not None else "at_approval"
