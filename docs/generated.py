"""A hook of mkdocs: fills the reference pages from the code, so that they cannot go stale.

A line ``{{ settings }}`` in a page is replaced by what ``settings()`` yields; ``PARTS`` names all of them. A line
``{{ deploy/nginx/trimtab.conf }}`` is replaced by that file. The tests in
tests/docs call the same functions, and fail when a setting, event, error, command or word is without its text.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import trimtab
from trimtab.kernel import GRANTED, Permission, Route, Settings, TrimtabError
from trimtab.store import Event

ROOT = Path(__file__).parent.parent
_MARK = re.compile(r"^\{\{ (\w+|deploy/[\w./-]+) \}\}$", re.MULTILINE)
_LANGUAGES = {".yml": "yaml", ".service": "ini", ".conf": "nginx", ".sql": "sql", ".json": "json", "": "docker"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Let the site show the mark of the pages."""
    mark = ROOT / "src" / "trimtab" / "ui" / "static" / "mark.svg"
    files.append(File.generated(config, "images/mark.svg", abs_src_path=str(mark)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks in a page; one that nothing fills is an error."""
    return _MARK.sub(lambda mark: "\n".join(deployed(mark[1]) if "/" in mark[1] else PARTS[mark[1]]()), markdown)


# --- the parts -----------------------------------------------------------------------------------------------------


def settings() -> Iterator[str]:
    """Yield a row for each setting."""
    yield "| Setting | Environment | Default | |"
    yield "|---|---|---|---|"
    texts = attribute_docs(Settings)
    for field in msgspec.structs.fields(Settings):
        default = f"`{field.default}`" if field.default != "" else "empty"
        text = texts.get(field.name) or _SETTINGS.get(field.name, "")
        yield f"| `{field.name}` | `TRIMTAB_{field.name.upper()}` | {default} | {text} |"


_SETTINGS = {
    "host": "The address that `trimtab up` listens at. Another one than loopback needs an API token.",
    "port": "Its port; 0 takes any that is free.",
}


def commands() -> Iterator[str]:
    """Yield a section for each verb, and for the parts of a verb that has some, as its ``--help`` says it."""
    from trimtab.cli.main import trimtab as group

    context = click.Context(group, info_name="trimtab")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from _command(command, click.Context(command, info_name=name, parent=context), level=2)


def _command(command: click.Command, context: click.Context, *, level: int) -> Iterator[str]:
    title = context.command_path.removeprefix("trimtab ")
    yield f"\n{'#' * level} {title}\n"
    yield "```text"
    yield command.get_help(context)
    yield "```\n"
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from _command(sub, click.Context(sub, info_name=name, parent=context), level=level + 1)


def nouns() -> Iterator[str]:
    """Yield a row for each noun of ``trimtab get``."""
    from trimtab.cli.verbs.get import NOUNS

    yield "| Noun | |"
    yield "|---|---|"
    for noun, (_, text) in NOUNS.items():
        yield f"| `{noun}` | {text} |"


def events() -> Iterator[str]:
    """Yield a row for each event of the ledger."""
    yield "| Event | Version | What it says | Fields |"
    yield "|---|---|---|---|"
    for event in sorted(subclasses(Event, having="type"), key=lambda event: event.type):
        fields = ", ".join(f"`{field.name}`" for field in msgspec.structs.fields(event))
        yield f"| `{event.type}` | {event.version} | {first_line(event)} | {fields} |"


def errors() -> Iterator[str]:
    """Yield a row for each error code."""
    yield "| Code | Kind | When |"
    yield "|---|---|---|"
    rows = dict(_step_errors())
    for error in subclasses(TrimtabError, having="code"):
        kinds = [base.__name__ for base in error.__mro__ if base.__module__ == "trimtab.kernel.errors"]
        kind = kinds[-2] if len(kinds) > 1 else "TrimtabError"
        rows[error.code] = f"| `{error.code}` | {kind} | {error_text(error)} |"
    yield from (row for _, row in sorted(rows.items()))


def _step_errors() -> Iterator[tuple[str, str]]:
    """Yield the errors that a pipeline writes down for a step and does not raise: calls with ``code=`` and ``why=``."""
    for file in sorted((ROOT / "src" / "trimtab" / "pipelines").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            given = {word.arg: word.value for word in node.keywords} if isinstance(node, ast.Call) else {}
            code, why = given.get("code"), given.get("why")
            if isinstance(code, ast.Constant) and isinstance(why, ast.Constant):
                yield code.value, f"| `{code.value}` | of a step | {cell(why.value)} |"


def troubles() -> Iterator[str]:
    """Yield a row for each error code: why it comes, and what to do, as the errors themselves say it."""
    yield "| Code | Why | What to do |"
    yield "|---|---|---|"
    told = _told_at_the_place()
    for error in sorted(subclasses(TrimtabError, having="code"), key=lambda error: error.code):
        why = cell(error.default_why.format_map(_Dots())) or error_text(error)
        steps = [error.default_next] if error.default_next else told.get(error.__name__, [])
        said = "; or: ".join(cell(step.format_map(_Dots())) for step in steps[:3])
        yield f"| `{error.code}` | {why} | {said or 'what its fourth line says'} |"


def _told_at_the_place() -> dict[str, list[str]]:
    """Return what errors tell a person to do next where they are raised, by the name of their class."""
    told: dict[str, list[str]] = {}
    for file in sorted((ROOT / "src" / "trimtab").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                for text in (_text_of(word.value) for word in node.keywords if word.arg == "next"):
                    if text and text not in told.setdefault(node.func.id, []):
                        told[node.func.id].append(text)
    return told


def _text_of(value: ast.expr) -> str:
    """Return a text of the source, with dots for what is only known when it happens; empty when it is no text."""
    match value:
        case ast.Constant(value=str() as text):
            return text.replace("{", "{{").replace("}", "}}")
        case ast.JoinedStr(values=values):
            return "".join(_text_of(part) if isinstance(part, ast.Constant) else "…" for part in values)
    return ""


def words() -> Iterator[str]:
    """Yield a row for each word that a user types after ``tt.``."""
    yield "| Word | |"
    yield "|---|---|"
    for name in sorted(trimtab.__all__, key=str.lower):
        yield f"| `tt.{name}` | {word_text(name)} |"


def metrics() -> Iterator[str]:
    """Yield a row for each metric: what it is, which side is better, and the method of its interval."""
    from trimtab.declare.meanings import MEANINGS

    groups = {
        "Of a classification": lambda meaning: meaning.task == "classification",
        "Of a regression": lambda meaning: meaning.task == "regression",
        "Of every model": lambda meaning: meaning.task is None and meaning.at_test,
        "Of a model in service": lambda meaning: not meaning.at_test,
    }
    for title, belongs in groups.items():
        yield f"\n| {title} | | Better | Interval |"
        yield "|---|---|---|---|"
        for name in [name for name, meaning in MEANINGS.items() if belongs(meaning)]:
            word = "drift.of(...)" if name == "drift.of" else name
            interval = _interval(name) if MEANINGS[name].at_test else "-"
            yield f"| `tt.{word}` | {metric_text(name)} | {_better(name)} | {interval} |"


def routes() -> Iterator[str]:
    """Yield a row for each operation of the HTTP API."""
    from trimtab.server import named_by

    yield "| Operation | Permission | Held for | Parameters | |"
    yield "|---|---|---|---|---|"
    for route in sorted(api_routes(), key=lambda route: (route.path, route.method)):
        asked = ", ".join(f"`{parameter.name}`" for parameter in route.query)
        held = "" if route.permission is Permission.PUBLIC else named_by(route.resource)
        operation = f"`{route.method} {route.path}`"
        yield f"| {operation} | {route.permission.value} | {held} | {asked} | {cell(route.summary)} |"


def permissions() -> Iterator[str]:
    """Yield a row for each permission that a token can hold."""
    yield "| Permission | |"
    yield "|---|---|"
    texts = attribute_docs(Permission)
    for permission in GRANTED:
        yield f"| `{permission.value}` | {texts[permission.name]} |"


def extras() -> Iterator[str]:
    """Yield a row for each extra of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    yield "| Extra | Brings |"
    yield "|---|---|"
    for extra, packages in project["optional-dependencies"].items():
        if extra not in ("dev", "docs", "build"):
            names = (re.split(r"[<>=\[; ]", package)[0] for package in packages if not package.startswith("trimtab["))
            yield f"| `{extra}` | {', '.join(names)} |"


def layers() -> Iterator[str]:
    """Yield the order of the rooms, as import-linter enforces it."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    (contract,) = tools["importlinter"]["contracts"]
    yield "```text"
    for layer in contract["layers"]:
        rooms = [room.strip(" ()") for room in layer.split("|")]
        there = [room for room in rooms if (ROOT / "src" / "trimtab" / room).exists()]
        if there:
            yield " | ".join(there)
    yield "```"


def example() -> Iterator[str]:
    """Yield the example, whole."""
    yield "```python"
    yield (ROOT / "examples" / "flights.py").read_text("utf-8").rstrip()
    yield "```"


def deployed(name: str) -> Iterator[str]:
    """Yield a file of deploy/, whole."""
    file = ROOT / name
    yield f"```{_LANGUAGES[file.suffix]}"
    yield file.read_text("utf-8").rstrip()
    yield "```"


def benches() -> Iterator[str]:
    """Yield what each script in bench/ measures, in its own words."""
    for script in sorted((ROOT / "bench").glob("*.py")):
        text = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
        yield f"\n### bench/{script.name}\n"
        yield "```text"
        yield text
        yield "```"


PARTS = {
    "example": example, "settings": settings, "commands": commands, "nouns": nouns, "events": events, "errors": errors,
    "troubles": troubles,
    "words": words, "metrics": metrics, "routes": routes, "permissions": permissions, "extras": extras,
    "layers": layers, "benches": benches,
}  # fmt: skip


# --- where the texts come from -------------------------------------------------------------------------------------


def subclasses(base: type, *, having: str) -> set[Any]:
    """Return every class below ``base`` in the package, and ``base``'s own kinds, that has ``having`` of its own."""
    for module in pkgutil.walk_packages(trimtab.__path__, "trimtab."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[Any] = set()
    todo = [base]
    while todo:
        for child in todo.pop().__subclasses__():
            todo.append(child)
            if child.__module__.startswith("trimtab.") and having in vars(child):
                found.add(child)
    return found


def error_text(error: Any) -> str:
    """Return when an error is raised: its docstring, its line in its module's tree of errors, or its reason."""
    if text := first_line(error):
        return text
    tree = inspect.getmodule(error).__doc__ or ""  # type: ignore[union-attr]  # every class has a module
    line = re.search(rf"^ *{error.__name__} {{2,}}(\S.*)$", tree, re.MULTILINE)
    text = line[1] if line else error.default_why.format_map(_Dots())
    return cell(text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")


class _Dots(dict[str, "_Dot"]):
    def __missing__(self, _key: str) -> "_Dot":
        return _Dot("…")


class _Dot(str):
    __slots__ = ()

    def __format__(self, _how: str) -> str:
        return str(self)


def word_text(name: str) -> str:
    """Return what a word of ``tt`` means. Metrics and other values have their texts beside their definitions."""
    from trimtab.declare.meanings import MEANINGS

    for module in ("trimtab.declare.metrics", "trimtab.declare.rollouts"):
        if text := attribute_docs(importlib.import_module(module)).get(name):
            return cell(text.splitlines()[0])
    return metric_text(name) if name in MEANINGS else first_line(getattr(trimtab, name))


def metric_text(name: str) -> str:
    """Return what a metric is, as the function that computes it says it."""
    if name in _METRICS:
        return _METRICS[name]
    return first_line(getattr(importlib.import_module("trimtab.evaluation.metrics"), name))


_METRICS = {
    "calibration_error": "Mean distance of predicted and observed rate, over 10 bins of equal mass.",
    "drift.of": "How far one feature has moved from what was learnt.",
    "drift.of_prediction": "How far the predictions have moved from those on the held-out rows.",
    "equalised_odds": "The larger of the gaps in true and in false positive rate between the slices of `by=`.",
    "errors": "Share of requests that failed.",
    "new_rows": "Rows that the source of the view's own contract has gained since the version was trained.",
    "latency.p50": "Time of the model for one row that half of the calls stay below.",
    "latency.p95": "The same for 95 % of the calls.",
    "latency.p99": "The same for 99 % of the calls.",
}


def _better(name: str) -> str:
    from trimtab.evaluation.metrics import LOWER_IS_BETTER, NEITHER_IS_BETTER

    if name in NEITHER_IS_BETTER or name == "new_rows":
        return "neither"
    lower = name in LOWER_IS_BETTER or name.startswith(("latency", "drift", "errors", "equalised_odds"))
    return "lower" if lower else "higher"


def _interval(name: str) -> str:
    from trimtab.evaluation import intervals, latency, resample, simultaneous, zero_variance
    from trimtab.evaluation.metrics import PROPORTIONS

    if name in PROPORTIONS:
        return intervals.WILSON
    if name.startswith("latency."):
        return latency.METHOD
    by_formula = {
        "auc": intervals.DELONG, "f1": zero_variance.JACCARD, "calibration_error": intervals.CALIBRATION,
        "equalised_odds": simultaneous.METHOD.format(groups="the"),
    }  # fmt: skip
    return by_formula.get(name) or resample.method_of(1000)


def api_routes() -> list[Route]:
    """Return every operation that the server offers to programs, as a running server would."""
    from trimtab.server import Rooms, doors_of, is_described
    from trimtab.server.api import Live, described
    from trimtab.server.api import routes as own_routes
    from trimtab.store import open_store

    with tempfile.TemporaryDirectory() as home:
        store = open_store(Settings(home=home))
        try:
            rooms = Rooms(store)
            doors = doors_of(store, store.settings)
            own = own_routes(
                rooms.store, doors, missing=rooms.missing, endpoints=rooms.endpoints, live=Live(rooms.events)
            )
            found = [*rooms.routes(), *own]
            return [route for route in [*found, described(found)] if is_described(route)]
        finally:
            store.close()


def first_line(thing: Any) -> str:
    """Return the first sentence line of a docstring, safe inside a table; empty when there is none of its own."""
    if isinstance(thing, type) and "__doc__" not in vars(thing):
        return ""
    text = (getattr(thing, "__doc__", "") or "").strip().splitlines()
    return cell(text[0]) if text else ""


def cell(text: str) -> str:
    """Return a text that can stand in a cell of a table."""
    return text.replace("|", "\\|").replace("``", "`")


def attribute_docs(owner: Any) -> dict[str, str]:
    """Return the text below each attribute of a class or module, which Python itself forgets."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    if isinstance(owner, type):
        assert isinstance(body[0], ast.ClassDef)
        body = body[0].body
    found: dict[str, str] = {}
    for one, following in pairwise(body):
        target = None
        if isinstance(one, ast.Assign | ast.AnnAssign):
            target = one.targets[0] if isinstance(one, ast.Assign) else one.target
        if not isinstance(target, ast.Name) or not isinstance(following, ast.Expr):
            continue
        if isinstance(following.value, ast.Constant) and isinstance(following.value.value, str):
            found[target.id] = following.value.value.strip().replace("``", "`")
    return found
