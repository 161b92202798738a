"""Find runs: the filter language compiled to SQL, any order, and pages that do not shift when runs are added."""

import base64
import binascii
import json
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, assert_never, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    case,
    collate,
    false,
    func,
    not_,
    or_,
    select,
)

from trimtab.kernel import Invalid, TrimtabError, digest_of, parse_time
from trimtab.store import Store, fold, folded
from trimtab.tracking.errors import ExperimentMissing
from trimtab.tracking.filter import And, Expression, Not, Or, OrderKey, Term, parse_filter, parse_order, problem_at
from trimtab.tracking.names import number_in
from trimtab.tracking.patterns import as_glob, as_like, parse_pattern
from trimtab.tracking.reading import RUN_COLUMNS, runs_of
from trimtab.tracking.records import RunPage
from trimtab.tracking.tables import (
    tracking_experiments,
    tracking_metrics,
    tracking_params,
    tracking_runs,
    tracking_tags,
)

LIMIT = 50
MOST = 10_000
MOST_ORDERS = 5

_ATTRIBUTES: dict[str, ColumnElement[Any]] = {
    "id": tracking_runs.c.id,
    "name": tracking_runs.c.name,
    "status": tracking_runs.c.status,
    "kind": tracking_runs.c.kind,
    "actor": tracking_runs.c.actor,
    "host": tracking_runs.c.host,
    "error": tracking_runs.c.error,
    "parent": tracking_runs.c.parent_id,
    "experiment": tracking_experiments.c.name,
    "started_at": tracking_runs.c.started_at,
    "finished_at": tracking_runs.c.finished_at,
}
_TIMES = frozenset({"started_at", "finished_at"})
_NEVER_NULL = frozenset({"id", "name", "status", "kind", "actor", "error", "experiment", "started_at"})


class _Sort(NamedTuple):
    """One column to sort by. ``kind`` is that of its values in a cursor."""

    column: ColumnElement[Any]
    descending: bool
    nullable: bool
    kind: type


def search_runs(
    store: Store,
    filter: str = "",
    *,
    order_by: Sequence[str] | str = (),
    experiment: str | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> RunPage:
    """Return the runs that a filter describes (see ``trimtab.tracking.filter``), with their values.

    ``order_by`` is one sort key or several, such as ``metrics.auc DESC``; without any, the newest run comes first. NaN
    comes after every number, and what a run does not have comes last. ``cursor`` is the ``next`` of the page before,
    with the same filter and order. Raises ``FilterProblem`` with the place of a mistake, ``ExperimentMissing``, and
    ``Invalid`` for a foreign cursor.
    """
    orders = [parse_order(text) for text in ([order_by] if isinstance(order_by, str) else order_by) if text.strip()]
    if len(orders) > MOST_ORDERS:
        raise problem_at(", ".join(order_by), f"there are more than {MOST_ORDERS} sort keys", 0)
    is_sqlite = store.database.is_sqlite
    compiler = _Compiler(filter, is_sqlite=is_sqlite)
    condition = compiler.condition(parse_filter(filter))
    limit = max(1, min(limit, MOST))
    mark = digest_of([filter, [[o.scope, o.key, o.descending] for o in orders], experiment])[7:15]
    source, sorts = _sorted_source(orders, is_sqlite=is_sqlite)
    after = _read_cursor(cursor, mark, sorts) if cursor is not None else None

    def query(source: FromClause, sorts: list[_Sort], *conditions: ColumnElement[bool]) -> Select[Any]:
        columns = (sort.column.label(f"o{n}") for n, sort in enumerate(sorts))
        found = select(*RUN_COLUMNS, *columns).select_from(source).where(*conditions)
        return found if condition is None else found.where(condition)

    rows: list[Row[Any]] = []
    with store.read() as connection:
        of = [tracking_runs.c.experiment_id == _experiment_id(connection, experiment)] if experiment is not None else []
        if sorts[0].nullable and (after is None or after[0] is not None):
            # What has the first thing to sort by comes first, and an inner join can read it in the order of its index.
            inner, having = _sorted_source(orders, is_sqlite=is_sqlite, inner=True)
            chosen = query(inner, having, *of, having[0].column.is_not(None))
            rows += connection.execute(_in_order(chosen, having, after).limit(limit + 1))
            after = None
        if sorts[0].nullable and len(rows) <= limit:
            lacking = query(source, sorts, *of, sorts[0].column.is_(None))
            rest = after[1:] if after else None
            rows += connection.execute(_in_order(lacking, sorts[1:], rest).limit(limit + 1 - len(rows)))
        elif not sorts[0].nullable:
            rows += connection.execute(_in_order(query(source, sorts, *of), sorts, after).limit(limit + 1))
        items = runs_of(connection, rows[:limit])
    last = list(rows[limit - 1])[len(RUN_COLUMNS) :] if len(rows) > limit else None
    return RunPage(items=tuple(items), next=_write_cursor(mark, last) if last is not None else None)


def _in_order(query: Select[Any], sorts: list[_Sort], after: list[Any] | None) -> Select[Any]:
    if after is not None:
        query = query.where(_after(sorts, after))
    for sort in sorts:
        if sort.nullable:
            query = query.order_by(sort.column.is_(None))
        query = query.order_by(sort.column.desc() if sort.descending else sort.column.asc())
    return query


class _Compiler:
    """Turns an expression into a condition that is never null, so that NOT means what it says."""

    def __init__(self, source: str, *, is_sqlite: bool) -> None:
        self._source = source
        self._is_sqlite = is_sqlite

    def condition(self, expression: Expression | None) -> ColumnElement[bool] | None:
        return None if expression is None else self._compile(expression)

    def _compile(self, expression: Expression) -> ColumnElement[bool]:
        match expression:
            case And(parts):
                return and_(*(self._compile(part) for part in parts))
            case Or(parts):
                return or_(*(self._compile(part) for part in parts))
            case Not(part):
                return not_(self._compile(part))
            case Term():
                return self._term(expression)
        assert_never(expression)

    def _term(self, term: Term) -> ColumnElement[bool]:
        if term.scope == "attributes":
            return self._attribute(term)
        if term.scope == "metrics":
            metrics = tracking_metrics.c
            asked = select(metrics.run_id).where(metrics.key == term.key)
            if term.op == "null":
                return tracking_runs.c.id.not_in(asked)
            return tracking_runs.c.id.in_(asked.where(self._number(metrics.value, term)))
        table = tracking_params if term.scope == "params" else tracking_tags
        asked = select(table.c.run_id).where(table.c.key == term.key)
        if term.op == "null":
            return tracking_runs.c.id.not_in(asked)
        if _is_number(term.value):
            compared = self._exact(table, term)
            if term.op in ("!=", "not in"):  # a text is another value than any number
                compared = or_(table.c.number.is_(None), compared)
            return tracking_runs.c.id.in_(asked.where(compared))
        asked = asked.where(self._text(table.c.value, term))
        same = number_in(term.value) if term.op == "=" and isinstance(term.value, str) else None
        if same is not None:  # equal texts are equal numbers, and numbers have an index
            asked = asked.where(table.c.number == same)
        return tracking_runs.c.id.in_(asked)

    def _exact(self, table: Table, term: Term) -> ColumnElement[bool]:
        """Compare a text that is a number: as floats, and whole numbers that are one float by their digits."""
        number, negated = table.c.number, term.op in ("!=", "not in")
        values = term.value if isinstance(term.value, tuple) else (term.value,)
        small = [value for value in values if isinstance(value, float)]
        large = cast(list[int], [value for value in values if isinstance(value, int)])
        if not large:
            return _compare(number, term.op, term.value)
        if term.op in ("=", "!=", "in", "not in"):
            same = or_(number.in_(small), *(self._same_digits(table, value) for value in large))
            return not_(same) if negated else same
        (value,) = large
        # Of one sign and one float, so the longer is further from 0.
        text, size, digits = table.c.value, self._size(table), str(abs(value))
        further = or_(func.length(size) > len(digits), and_(func.length(size) == len(digits), size > digits))
        nearer = or_(func.length(size) < len(digits), and_(func.length(size) == len(digits), size < digits))
        beyond = further if (value > 0) == (term.op[0] == ">") else nearer
        close = and_(number == float(value), or_(beyond, size == digits) if term.op[-1] == "=" else beyond)
        return or_(_compare(number, term.op[0], float(value)), and_(self._is_whole(text), close))

    def _same_digits(self, table: Table, value: int) -> ColumnElement[bool]:
        other_form = not_(self._is_whole(table.c.value))  # such as 1e20
        return and_(table.c.number == float(value), or_(self._size(table) == str(abs(value)), other_form))

    def _size(self, table: Table) -> ColumnElement[Any]:
        """Return the digits of a whole number without its sign, and without zeros before them: 007 is 7."""
        return func.ltrim(table.c.value, "-0")

    def _is_whole(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        if self._is_sqlite:
            return not_(column.bool_op("GLOB")("*[^0-9-]*"))
        return not_(column.regexp_match("[^0-9-]"))

    def _number(self, column: ColumnElement[Any], term: Term) -> ColumnElement[bool]:
        """Compare a metric's value, which is null for NaN: only the same word finds it, and no other comparison."""
        values = term.value if isinstance(term.value, tuple) else (term.value,)
        numbers = [_WORDS.get(value.lower()) if isinstance(value, str) else _as_float(value) for value in values]
        if None in numbers or term.op.endswith("like"):
            raise self._problem(
                term, f"metrics.{term.key} is a number and is compared with one, or with 'nan' or 'inf'"
            )
        known = [number for number in numbers if number is not None and not math.isnan(number)]
        wants_nan = len(known) < len(numbers)
        match term.op:
            case "=" | "in":
                found = column.in_(known)
                return or_(found, column.is_(None)) if wants_nan else found
            case "!=" | "not in":
                return and_(column.is_not(None), column.not_in(known))
        return _compare(column, term.op, known[0]) if known else false()

    def _attribute(self, term: Term) -> ColumnElement[bool]:
        column = _ATTRIBUTES.get(term.key)
        if column is None:
            known = ", ".join(sorted(_ATTRIBUTES))
            raise self._problem(term, f"a run has no attribute {term.key!r}, but {known}")
        if term.op == "null":
            return column.is_(None)
        if _is_number(term.value):
            raise self._problem(term, f"{term.key} is a text and is compared with one in quotes")
        if term.key in _TIMES:
            term = self._as_time(term)
        compared = self._text(column, term)
        return compared if term.key in _NEVER_NULL else and_(column.is_not(None), compared)

    def _as_time(self, term: Term) -> Term:
        values = term.value if isinstance(term.value, tuple) else (term.value,)
        if term.op.endswith("like"):
            raise self._problem(term, f"{term.key} is a time and is compared with <, <=, = or IN")
        try:
            moments = tuple(parse_time(str(value), where="filter").isoformat() for value in values)
        except TrimtabError as error:
            raise self._problem(term, error.what) from None
        value = moments if isinstance(term.value, tuple) else moments[0]
        return Term(term.scope, term.key, term.op, value, term.at)

    def _text(self, column: ColumnElement[Any], term: Term) -> ColumnElement[bool]:
        if term.op.endswith("like"):
            assert isinstance(term.value, str)
            found = self._like(column, term.value, ignore_case=term.op.endswith("ilike"))
            return not_(found) if term.op.startswith("not") else found
        values = term.value if isinstance(term.value, tuple) else (term.value,)
        if not all(isinstance(value, str) for value in values):
            raise self._problem(term, "a list holds either numbers or texts")
        # Databases sort text by their own languages; ours is that of the code points.
        ordered = column if self._is_sqlite or term.op not in ("<", "<=", ">", ">=") else collate(column, "C")
        return _compare(ordered, term.op, term.value)

    def _like(self, column: ColumnElement[Any], pattern: str, *, ignore_case: bool) -> ColumnElement[bool]:
        parts = parse_pattern(fold(pattern) if ignore_case else pattern)
        text = folded(column, is_sqlite=self._is_sqlite) if ignore_case else column
        if self._is_sqlite:  # whose LIKE ignores case, and whose GLOB does not
            return text.bool_op("GLOB")(as_glob(parts))
        return text.like(as_like(parts), escape="\\")

    def _problem(self, term: Term, what: str) -> TrimtabError:
        return problem_at(self._source, what, term.at)


def _is_number(value: object) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return all(isinstance(one, float | int) for one in values)


def _as_float(value: float | None) -> float | None:
    return None if value is None else float(value)


_WORDS = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
"""Numbers that have no digits, as points of metrics write them."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _compare(column: ColumnElement[Any], op: str, value: Any) -> ColumnElement[bool]:
    if op in _OPERATORS:
        compared: ColumnElement[bool] = _OPERATORS[op](column, value)
        return compared
    return column.in_(value) if op == "in" else column.not_in(value)


def _sorted_source(orders: list[OrderKey], *, is_sqlite: bool, inner: bool = False) -> tuple[FromClause, list[_Sort]]:
    """Return the tables to read from and the columns to sort by, the run's start and id last.

    With ``inner`` only runs that have the first thing to sort by are in them.
    """
    source: FromClause = tracking_runs.join(tracking_experiments)
    sorts: list[_Sort] = []

    def text(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column if is_sqlite else collate(column, "C")

    for order in orders:
        if order.scope == "attributes":
            attribute = _ATTRIBUTES.get(order.key)
            if attribute is None:
                raise problem_at(order.key, f"a run has no attribute {order.key!r}, but {', '.join(_ATTRIBUTES)}", 0)
            nullable = order.key not in _NEVER_NULL and not (inner and not sorts)
            sorts.append(_Sort(text(attribute), order.descending, nullable, str))
            continue
        tables = {"metrics": tracking_metrics, "params": tracking_params, "tags": tracking_tags}
        of = tables[order.scope].alias()
        required = inner and not sorts
        same = and_(of.c.run_id == tracking_runs.c.id, of.c.key == order.key)
        source = source.join(of, same, isouter=not required)
        if order.scope == "metrics":
            sorts.append(_Sort(of.c.value, order.descending, not required, float))
            # NaN lies as null, but the run has it: it comes before those that have nothing.
            sorts.append(_Sort(case((of.c.run_id.is_(None), 1), else_=0), False, False, int))
        else:
            sorts.append(_Sort(of.c.number, order.descending, not required, float))
            sorts.append(_Sort(text(of.c.value), order.descending, True, str))
    sorts.append(_Sort(tracking_runs.c.started_at, True, False, str))
    sorts.append(_Sort(tracking_runs.c.id, True, False, str))
    return source, sorts


def _after(sorts: list[_Sort], values: list[Any]) -> ColumnElement[bool]:
    """Return the condition of coming after a row with these values; nulls come last."""
    choices = []
    for n, (sort, value) in enumerate(zip(sorts, values, strict=True)):
        if value is None:
            continue  # nothing comes after a null but what differs later
        later = sort.column < value if sort.descending else sort.column > value
        if sort.nullable:
            later = or_(later, sort.column.is_(None))
        same = [s.column.is_(None) if v is None else s.column == v for s, v in zip(sorts[:n], values[:n], strict=True)]
        choices.append(and_(*same, later))
    return or_(*choices)


def _write_cursor(mark: str, values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([mark, *values]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, mark: str, sorts: list[_Sort]) -> list[Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        found = None
    fits = (
        isinstance(found, list)
        and len(found) == len(sorts) + 1
        and found[0] == mark
        and all(
            isinstance(value, sort.kind) or (value is None and sort.nullable)
            for value, sort in zip(found[1:], sorts, strict=True)
        )
    )
    if not fits:
        raise Invalid(
            "the cursor does not belong to this search",
            where="query cursor",
            why="A cursor is the next value of the page before, of the same filter and order.",
            next="start again without a cursor",
        )
    return list(found[1:])


def _experiment_id(connection: Connection, name: str) -> str:
    query = select(tracking_experiments.c.id).where(tracking_experiments.c.name == name)
    found = connection.execute(query).scalar()
    if found is None:
        raise ExperimentMissing(f"there is no experiment {name[:80]!r}", where="search")
    return str(found)
