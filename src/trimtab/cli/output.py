"""Listings as a table, JSON, YAML or CSV."""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from shutil import get_terminal_size
from typing import Any, NamedTuple

import click
import msgspec

from trimtab.cli.errors import coloured, plain
from trimtab.kernel import figure

FORMATS = ("table", "json", "yaml", "csv")
_GAP = 3
"""What stands between two columns."""
_ANY_WIDTH = 100_000
_BRIEF = 19
"""Enough of a digest to tell it from its neighbours."""


class Column(NamedTuple):
    """One column of a table: its heading, and how its text comes from a record. Numbers stand at the right.

    ``name`` is its name in CSV, by default the heading in small letters. ``brief``: a table shows the beginning of it.
    """

    heading: str
    value: Callable[[Any], Any]
    number: bool = False
    name: str = ""
    brief: bool = False


def columns_of(items: Sequence[Any], values: Callable[[Any], Mapping[str, Any]], lead: str) -> list[Column]:
    """Return a column for each name that any record has a value for: ``metrics.auc``, ``metrics.loss``, ..."""
    names = sorted({name for item in items for name in values(item)})
    return [
        Column(f"{lead}.{name}", partial(_value_of, values, name), name=f"{lead}.{name}") for name in names
    ]  # fmt: skip


def _value_of(values: Callable[[Any], Mapping[str, Any]], name: str, item: Any) -> Any:
    return values(item).get(name)


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form."
    )(function)


def text_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The forms of an answer that is a text and no listing."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True,
        help="Form.",
    )(function)  # fmt: skip


def show_list(
    items: Sequence[Any],
    columns: Sequence[Column],
    *,
    form: str,
    empty: str = "Nothing yet.",
    csv_columns: Sequence[Column] = (),
) -> None:
    """Print records: chosen columns as a table or CSV, everything as JSON or YAML. ``empty`` says how to get some.

    ``csv_columns`` are those of the CSV, where they are not those of the table.
    """
    match form:
        case "json":
            click.echo(msgspec.json.format(msgspec.json.encode(items), indent=2).decode())
        case "yaml":
            click.echo(_yaml(items), nl=False)
        case "csv":
            click.echo(_csv(items, csv_columns or columns), nl=False)
        case _ if not items:
            click.echo(empty)
        case _:
            print_table(items, columns)


def show_one(item: Any, *, form: str, lines: Sequence[tuple[str, Any]] = ()) -> None:
    """Print one record: its main facts as lines of name and value, or everything in another form."""
    match form:
        case "json":
            click.echo(msgspec.json.format(msgspec.json.encode(item), indent=2).decode())
        case "yaml":
            click.echo(_yaml(item), nl=False)
        case "csv":
            rows = list(_leaves(msgspec.to_builtins(item)))
            click.echo(_csv(rows, [Column("name", lambda r: r[0]), Column("value", lambda r: r[1])]), nl=False)
        case _:
            print_facts(lines or list(_flat(msgspec.to_builtins(item))))


def print_facts(lines: Sequence[tuple[str, Any]]) -> None:
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        first, *more = text_of(value).splitlines() or [""]
        click.echo(f"{name:<{width}}  {first}".rstrip())
        for line in more:
            click.echo(" " * (width + 2) + line)


def print_table(items: Sequence[Any], columns: Sequence[Column]) -> None:
    rows = [[" ".join(_cell(column, item).splitlines()) for column in columns] for item in items]
    if not sys.stdout.isatty():
        # A file or a pipe has no width: lines stay whole, so that they can be cut and searched.
        click.echo("\n".join(line.rstrip() for line in _drawn(rows, columns, None).splitlines()))
        return
    room = get_terminal_size().columns
    widths = _widths([[column.heading for column in columns], *rows], room)
    if widths is not None:
        click.echo(_drawn(rows, columns, widths), nl=False)
        return
    for row in rows:
        print_facts([(column.heading.lower(), text) for column, text in zip(columns, row, strict=True)])
        click.echo()


def _cell(column: Column, item: Any) -> str:
    text = text_of(column.value(item))
    return f"{text[:_BRIEF]}…" if column.brief and len(text) > _BRIEF else text


def say_left_out(shown: str, more: str) -> None:
    """Say on standard error what a listing leaves out: what reads standard output as data must not meet it."""
    click.echo(f"{shown}; {more}", err=True)


def _drawn(rows: Sequence[Sequence[str]], columns: Sequence[Column], widths: Sequence[int] | None) -> str:
    """Return a table, each column as wide as its texts, or of the widths that are given."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(
            column.heading, justify="right" if column.number else "left", overflow="fold",
            width=None if widths is None else widths[number], no_wrap=widths is None,
        )  # fmt: skip
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    console = Console(
        file=sys.stdout, width=_ANY_WIDTH if widths is None else sum(widths) + _GAP * (len(widths) - 1),
        no_color=not coloured(sys.stdout), highlight=False,
    )  # fmt: skip
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Return how wide each column of a table may be so that no word of it is broken; None when there is no room.

    An id that is broken over two lines cannot be copied.
    """
    from rich.cells import cell_len

    texts = list(zip(*rows, strict=True))
    widths = [max(cell_len(text) for text in column) for column in texts]
    least = [max(cell_len(word) for text in column for word in text.split() or [""]) for column in texts]
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    for _ in range(over):
        widest = max(range(len(widths)), key=lambda n: widths[n] - least[n])
        if widths[widest] == least[widest]:
            return None
        widths[widest] -= 1
    return widths


def text_of(value: Any) -> str:
    """Return a value as a table shows it: short times, grouped whole numbers, a dash for nothing."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case int():
            return f"{value:,}".replace(",", " ")
        case float():
            return figure(value)
        case Mapping():
            return ", ".join(f"{key}={text_of(item)}" for key, item in value.items())
        case list() | tuple():
            return ", ".join(text_of(item) for item in value)
        case _:
            return plain(str(value))


def took(seconds: float | None) -> str:
    """Return how long an answer took, or why there is no such figure."""
    return "not measured: the clock stood still, as in a replay" if seconds is None else f"{seconds * 1000:.2f} ms"


def _csv(items: Sequence[Any], columns: Sequence[Column]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name or column.heading.lower().replace(" ", "_") for column in columns])
    for item in items:
        writer.writerow([_plain(column.value(item)) for column in columns])
    return text.getvalue()


def _plain(value: Any) -> Any:
    """Return a value as CSV holds it: whole, numbers to the last digit, what has parts as JSON."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case Mapping() | list() | tuple():
            return msgspec.json.encode(value).decode()
        case int() | float() | str():
            return value
        case _:
            return str(value)


def _leaves(value: Any, lead: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a record with the path to it: ``metrics.auc.value``."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    if not isinstance(value, dict | list | tuple) or not value:
        yield lead, value
    for name, part in parts:
        yield from _leaves(part, f"{lead}.{name}" if lead else str(name))


def _yaml(value: Any) -> str:
    from trimtab.cli.yaml import to_yaml  # PyYAML takes a moment to load, and few answers are YAML

    return to_yaml(msgspec.to_builtins(value))


def _flat(value: dict[str, Any], lead: str = "") -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, item in value.items():
        if isinstance(item, dict) and item:
            found += _flat(item, f"{lead}{name}.")
        elif isinstance(item, list | tuple) and any(isinstance(part, dict) for part in item):
            found.append((f"{lead}{name}", f"{len(item)} items"))
        else:
            found.append((f"{lead}{name}", item))
    return found
