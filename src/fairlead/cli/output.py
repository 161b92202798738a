"""Listings as a table, JSON, YAML or CSV."""

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click
import msgspec

from fairlead.cli.errors import coloured
from fairlead.cli.yaml import to_yaml

FORMATS = ("table", "json", "yaml", "csv")


class Column(NamedTuple):
    """One column of a table: its heading, and how its text comes from a record. Numbers stand at the right."""

    heading: str
    value: Callable[[Any], Any]
    number: bool = False


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


def show_list(items: Sequence[Any], columns: Sequence[Column], *, form: str, empty: str = "Nothing yet.") -> None:
    """Print records: chosen columns as a table or CSV, everything as JSON or YAML. ``empty`` says how to get some."""
    match form:
        case "json":
            click.echo(msgspec.json.format(msgspec.json.encode(items), indent=2).decode())
        case "yaml":
            click.echo(to_yaml(msgspec.to_builtins(items)), nl=False)
        case "csv":
            click.echo(_csv(items, columns), nl=False)
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
            click.echo(to_yaml(msgspec.to_builtins(item)), nl=False)
        case "csv":
            rows = lines or list(msgspec.to_builtins(item).items())
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
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.heading, justify="right" if column.number else "left", overflow="fold")
    for item in items:
        table.add_row(*(Text(text_of(column.value(item))) for column in columns))
    terminal = sys.stdout.isatty()
    # A file or a pipe has no width: lines stay whole, so that they can be cut and searched.
    console = Console(
        file=sys.stdout, width=None if terminal else 400, no_color=not coloured(sys.stdout), highlight=False
    )
    if terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


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
            return f"{value:.4g}"
        case Mapping():
            return ", ".join(f"{key}={text_of(item)}" for key, item in value.items())
        case list() | tuple():
            return ", ".join(text_of(item) for item in value)
        case _:
            return str(value)


def _csv(items: Sequence[Any], columns: Sequence[Column]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.heading.lower().replace(" ", "_") for column in columns])
    for item in items:
        writer.writerow([_plain(column.value(item)) for column in columns])
    return text.getvalue()


def _plain(value: Any) -> Any:
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat()
        case int() | float() | str():
            return value
        case _:
            return text_of(value)


def _flat(value: dict[str, Any], lead: str = "") -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, item in value.items():
        if isinstance(item, dict) and item:
            found += _flat(item, f"{lead}{name}.")
        elif isinstance(item, list) and any(isinstance(part, dict) for part in item):
            found.append((f"{lead}{name}", f"{len(item)} items"))
        else:
            found.append((f"{lead}{name}", item))
    return found
