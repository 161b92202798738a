"""What features mean, in plain Python: slow, obviously right, and sharing no code with the engine.

Rows are dicts of Python values: ``datetime`` with a zone, ``float`` (NaN is absent), ``int``, ``bool``, ``str``, None.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from trimtab.declare import (
    Arithmetic,
    Comparison,
    Constant,
    ContractSpec,
    Derived,
    FeatureViewSpec,
    Field,
    FieldKind,
    Label,
    Latest,
    Rolling,
    TimePart,
)

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]


def decided_at(view: FeatureViewSpec, row: Row) -> datetime | None:
    decided = clean(row[view.decided])
    return None if decided is None else decided.astimezone(UTC) + timedelta(seconds=view.decided_offset_s)


def features(
    view: FeatureViewSpec, tables: Tables, row: Row, at: datetime | None, *, known_by: datetime | None = None
) -> list[Any]:
    """Return every value of a row, in the order of the view's columns."""
    found = []
    for column in view.columns:
        if isinstance(column, Latest):
            found += [latest(view, tables, row, at, column, name, known_by) for name in column.fields]
        else:
            expression = column.expression if isinstance(column, Derived) else column
            found.append(value(view, tables, row, at, expression, known_by))
    return found


def label_of(
    view: FeatureViewSpec, row: Row, label: Label, *, known_by: datetime | None = None
) -> tuple[Any, datetime | None]:
    """Return the label and when it becomes known; no label when that is not after the decision."""
    times = [known_time(view.of, name, row) for name in label_names(label.expression) if late(view.of, name)]
    known = None if any(t is None for t in times) else max(times)
    at = decided_at(view, row)
    if known is None or at is None or known <= at or (known_by is not None and known > known_by):
        return None, known
    found = value(view, {}, row, at, label.expression, None)
    if isinstance(label.expression, Field) and found is not None:
        found = float(found)
    return found, known


def value(view: FeatureViewSpec, tables: Tables, row: Row, at: Any, expression: Any, known_by: Any) -> Any:
    if isinstance(expression, Field):
        return clean(row[expression.field])
    if isinstance(expression, TimePart):
        return part(clean(row[expression.of.field]), expression.part)
    if isinstance(expression, Latest):
        return latest(view, tables, row, at, expression, expression.fields[0], known_by)
    if isinstance(expression, Rolling):
        return rolling(view, tables, row, at, expression, known_by)
    if isinstance(expression, Constant):
        return expression.value
    left = value(view, tables, row, at, expression.left, known_by)
    right = value(view, tables, row, at, expression.right, known_by)
    return None if left is None or right is None else compute(expression, left, right)


def latest(view: Any, tables: Tables, row: Row, at: Any, column: Latest, name: str, known_by: Any) -> Any:
    if at is None:
        return None
    contract = view.contract(column.contract)
    best, best_rank = None, None
    for number, fact in enumerate(tables[column.contract]):
        event = clean(fact[contract.event_time])
        known = known_time(contract, name, fact)
        if event is None or known is None or not same_keys(column.by, row, fact):
            continue
        if known > at or (known_by is not None and known > known_by):
            continue
        rank = (event, known, number)
        if best_rank is None or rank > best_rank:
            best, best_rank = fact, rank
    if best is None:
        return None
    age = at - clean(best[contract.event_time])
    if column.within_s is not None and age > timedelta(seconds=column.within_s):
        return None
    return clean(best[name])


def rolling(view: Any, tables: Tables, row: Row, at: Any, column: Rolling, known_by: Any) -> Any:
    if at is None:
        return None
    contract = view.contract(column.contract)
    values = []
    for fact in tables[column.contract]:
        known = known_time(contract, column.field, fact)
        found = clean(fact[column.field])
        if known is None or found is None or not same_keys(column.by, row, fact):
            continue
        if at - timedelta(seconds=column.over_s) < known <= at and (known_by is None or known <= known_by):
            values.append(found)
    return aggregate(column.function, values)


def aggregate(function: str, values: list[Any]) -> Any:
    count = len(values)
    if function == "count":
        return count
    if not values:
        return None
    values = [float(v) for v in values]
    if function in ("min", "max"):
        return min(values) if function == "min" else max(values)
    exact = [rounded(v) for v in values]
    if function == "std":
        if count < 2:
            return None
        center = sum(exact) / count
        variance = sum((v - center) ** 2 for v in exact) / (count - 1)
        return math.sqrt(float(variance * 2**80)) * 2.0**-40
    total = sum(exact)
    whole = math.floor(total)
    # The whole part and the fraction are each turned into a float, then added.
    result = float(whole) + float(total - whole)
    return result if function == "sum" else result / count


def rounded(number: float) -> Fraction:
    """Return a number with its fraction rounded to 2**-40, half to even."""
    whole = math.floor(number)
    return whole + Fraction(round((Fraction(number) - whole) * 2**40), 2**40)


def compute(expression: Arithmetic | Comparison, left: Any, right: Any) -> Any:
    if isinstance(expression, Comparison):
        if isinstance(left, float) or isinstance(right, float):
            left, right = float(left), float(right)
        return {
            "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right, "==": left == right,
            "!=": left != right,
        }[expression.op]  # fmt: skip
    left, right = float(left), float(right)
    if expression.op == "/":
        return None if right == 0 else clean(left / right)
    return clean({"+": left + right, "-": left - right, "*": left * right}[expression.op])


def part(at: datetime | None, name: str) -> int | None:
    if at is None:
        return None
    at = at.astimezone(UTC)
    return {
        "minute": at.minute, "hour": at.hour, "weekday": at.weekday(), "day": at.day, "month": at.month,
        "quarter": (at.month + 2) // 3, "year": at.year,
    }[name]  # fmt: skip


def clean(found: Any) -> Any:
    """Return a value as features hold it: NaN is absent, -0.0 is 0.0."""
    if isinstance(found, float):
        return None if math.isnan(found) else found + 0.0
    return found


def same_keys(by: Sequence[str], row: Row, fact: Row) -> bool:
    return all(row[name] is not None and row[name] == fact[name] for name in by)


def late(contract: ContractSpec, name: str) -> str | None:
    """Return the time column at which a field becomes known later than its row, if there is one."""
    field = contract.field(name)
    assert field is not None
    if field.known_at is None and field.kind is FieldKind.TIME and any(f.known_at == name for f in contract.fields):
        return name
    return field.known_at


def known_time(contract: ContractSpec, name: str, row: Row) -> Any:
    return clean(row[late(contract, name) or contract.event_time])


def label_names(expression: Any) -> list[str]:
    if isinstance(expression, Field):
        return [expression.field]
    if isinstance(expression, Arithmetic | Comparison):
        return label_names(expression.left) + label_names(expression.right)
    return []
