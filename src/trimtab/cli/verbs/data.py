"""``trimtab data``: look into snapshots."""

from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.cli.looking import at_option, look, moment_of, watch_option
from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked
from trimtab.cli.output import Column, output_option, say_left_out, show_list
from trimtab.cli.session import Session, pass_session
from trimtab.data import Snapshot, get_snapshot, latest_snapshot, load_snapshot, set_aside_rows
from trimtab.kernel import Invalid, NotFound, percent


@click.group()
def data() -> None:
    """Look into snapshots: rows, profiles, rows set aside."""


@data.command()
@click.argument("source")
@click.option("--set-aside", "aside", is_flag=True, help="The rows that broke the contract, each with the reason.")
@click.option("--profile", is_flag=True, help="What each column holds.")
@click.option("--month", default="", metavar="YYYY-MM", help="Only rows of this month, by event time.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="At most this many rows."
)
@at_option
@watch_option
@output_option
@pass_session
def show(session: Session, /, source: str, at: str, watch: bool, every: float, **how: Any) -> None:
    """Show SOURCE (or a snapshot, by its id): its newest rows, its profile, or the rows set aside."""
    moment = moment_of(session, at)
    look(lambda: _show(session, _snapshot(session, source, moment), **how), watch=watch, every=every)


def _show(
    session: Session, snapshot: Snapshot, *, aside: bool, profile: bool, month: str, limit: int, form: str
) -> None:
    if profile:
        _check_profile(aside=aside, month=month)
        show_list(snapshot.profile.columns, _PROFILE, form=form)
        return
    table = session.ask(set_aside_rows, snapshot) if aside else session.ask(load_snapshot, snapshot)
    if month:
        table = _of_month(table, snapshot, month)
    rows = table.slice(0, limit) if aside else table.slice(max(0, table.num_rows - limit))
    columns = [Column(name, itemgetter(name), number=_is_number(rows, name), name=name) for name in rows.column_names]
    show_list(rows.to_pylist(), columns, form=form, empty="No row." if not aside else "No row was set aside.")
    if rows.num_rows < table.num_rows:
        which = "first" if aside else "last"
        say_left_out(f"the {which} {rows.num_rows} of {table.num_rows} rows", "more with --limit")


def _check_profile(*, aside: bool, month: str) -> None:
    """Raise ``Invalid`` for what chooses rows where none are shown."""
    strange = [option for option, given in (("--set-aside", aside), ("--month", month)) if given]
    if strange:
        raise Invalid(
            f"a profile cannot be narrowed by {' and '.join(strange)}",
            where="trimtab data show, option --profile",
            why="It is made once, of all rows that were kept.",
            next=f"leave {' and '.join(strange)} out, or --profile",
        )


_PROFILE = [
    Column("COLUMN", lambda c: c.name), Column("KIND", lambda c: c.kind), Column("ROWS", lambda c: c.rows, number=True),
    Column("MISSING", lambda c: percent(c.missing), number=True), Column("DISTINCT", lambda c: c.distinct, number=True),
    Column("MIN", lambda c: _value(c, c.min), number=True), Column("MEAN", lambda c: _value(c, c.mean), number=True),
    Column("MAX", lambda c: _value(c, c.max), number=True),
    Column("MOST OFTEN", lambda c: ", ".join(f"{value} {count}" for value, count in c.top[:3]) or None),
]  # fmt: skip


def _value(column: Any, value: float | None) -> Any:
    if value is not None and "time" in column.kind:
        return datetime.fromtimestamp(value, UTC)
    return value


def _snapshot(session: Session, source: str, moment: datetime | None) -> Snapshot:
    if moment is not None:
        asked = Asked(name=source, at=moment)
        found: Snapshot = (past.snapshots if source.startswith("snap_") else past.sources)(session, asked)
        return found
    if source.startswith("snap_"):
        return session.ask(get_snapshot, source)
    newest = session.ask(latest_snapshot, source)
    if newest is None:
        raise NotFound(
            f"there is no source {source[:100]!r}",
            where="trimtab data show",
            why="No snapshot was ever taken of a source with this name.",
            next="trimtab get sources",
        )
    return newest


def _of_month(table: pa.Table, snapshot: Snapshot, month: str) -> pa.Table:
    try:
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(
            f"{month!r} is not a month",
            where="option --month",
            why="A month is a year and a number from 01 to 12.",
            next="write for example --month 2013-02",
        ) from None
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    times = [column.name for column in snapshot.profile.columns if column.kind == "event_time"]
    if not times:
        raise Invalid(
            f"{snapshot.source} has no time to choose a month by",
            where="option --month",
            why="Its contract declares no event time.",
            next="leave --month out",
        )
    column = table[times[0]]
    inside = pc.and_(
        pc.greater_equal(column, pa.scalar(start, column.type)), pc.less(column, pa.scalar(end, column.type))
    )
    return table.filter(inside)


def _is_number(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
