"""What the code has stands in the reference: each setting, event, error, command, operation, metric and word."""

import ast
import re
from pathlib import Path

import click
import msgspec
import pytest
from tests.docs.pages import DOCS, ROOT, hook, text_of

import trimtab
from trimtab.cli.listing import VERBS
from trimtab.cli.main import trimtab as group
from trimtab.kernel import Settings

SOURCE = ROOT / "src" / "trimtab"


def built(page: str) -> str:
    return text_of(DOCS / page)


def cells(page: str) -> dict[str, list[str]]:
    """The rows of a page's tables, by their first cell in code."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in built(page).splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def declared(attribute: str) -> set[str]:
    """The texts that classes of the package give to an attribute, read from the source."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for one in node.body if isinstance(node, ast.ClassDef) else ():
                target = (
                    one.target
                    if isinstance(one, ast.AnnAssign)
                    else one.targets[0]
                    if isinstance(one, ast.Assign)
                    else None
                )
                if isinstance(target, ast.Name) and target.id == attribute and isinstance(one.value, ast.Constant):
                    found |= {one.value.value} - {""}
    return found


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(Settings)])
def test_a_setting_has_its_line(field: str) -> None:
    variable, _default, text = cells("reference/settings.md")[field]
    assert variable == f"`TRIMTAB_{field.upper()}`"
    assert text


def test_every_event_has_its_line() -> None:
    rows = cells("reference/events.md")
    assert set(rows) == declared("type")
    assert [name for name, (_, text, _) in rows.items() if not text] == []


def test_every_error_has_its_line() -> None:
    rows = cells("reference/errors.md")
    assert declared("code") - {"trimtab.error"} <= set(rows)
    assert [name for name, (_, text) in rows.items() if not text.strip(" .")] == []


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in hook.subclasses(trimtab.TrimtabError, having="code")]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_and_its_options_are_shown(verb: str) -> None:
    context = click.Context(group, info_name="trimtab")
    command = group.get_command(context, verb)
    assert command is not None
    page = built("reference/cli.md")
    assert f"\n## {verb}\n" in page
    parts = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for part in parts:
        for parameter in part.params:
            for option in parameter.opts if isinstance(parameter, click.Option) and not parameter.hidden else ():
                assert option in page


def test_every_word_has_its_line() -> None:
    rows = cells("reference/declare.md")
    assert {f"tt.{name}" for name in trimtab.__all__} == set(rows)
    assert [name for name, (text,) in rows.items() if not text] == []


def test_every_metric_has_its_line() -> None:
    from trimtab.declare.meanings import MEANINGS

    rows = cells("guide/evaluation.md")
    names = {f"tt.{name}" if name != "drift.of" else "tt.drift.of(...)" for name in MEANINGS}
    assert names <= set(rows)


def test_every_operation_has_its_line() -> None:
    rows = cells("reference/http.md")
    operations = [f"{route.method} {route.path}" for route in hook.api_routes()]
    assert len(operations) == len(set(operations))
    assert set(operations) <= set(rows)


def test_every_noun_and_extra_has_its_line() -> None:
    from trimtab.cli.verbs.get import NOUNS

    assert set(NOUNS) <= set(cells("reference/cli.md"))
    assert {"sklearn", "onnx", "s3", "examples"} <= set(cells("guide/running.md"))


@pytest.mark.parametrize("room", sorted(path.parent.name for path in SOURCE.glob("*/__init__.py")))
def test_a_room_has_its_place(room: str) -> None:
    architecture = built("architecture.md")
    assert f"| `{room}` |" in architecture
    if room not in ("cli", "ui", "wire"):  # faces: they have commands, pages and a protocol, and no words of their own
        assert f"::: trimtab.{room}\n" in (DOCS / "reference" / "rooms" / f"{room}.md").read_text("utf-8")


def test_the_example_is_the_one_that_is_tested() -> None:
    assert Path(ROOT / "examples" / "flights.py").read_text("utf-8").rstrip() in built("guide/example.md")


def test_an_unknown_mark_is_an_error() -> None:
    with pytest.raises(KeyError):
        hook.on_page_markdown("{{ nothing }}")
