"""Every command that is shown can be typed: its verb, arguments and options are parsed by the real command line."""

import ast
import re
import shlex
from collections.abc import Iterator

import click
import pytest
from tests.docs.pages import ROOT, blocks, name_of, pages

from trimtab.cli.main import trimtab as group
from trimtab.cli.session import Session
from trimtab.cli.verbs.get import noun_named
from trimtab.kernel import TrimtabError

SHOWN = [
    (f"{name_of(page)}:{line + offset}", text[2:])
    for page in pages()
    for line, block in blocks(page, "console")
    for offset, text in enumerate(block.splitlines(), 1)
    if text.startswith("$ ")
]
UNKNOWN = "X"
"""Stands in a hint for what is only known when it happens."""
OPERATING = "docs/guide/operating/"
"""Pages with commands of other programs, each typed as it stands by the test of its page (tests/docs/operating)."""
DEV = ("demo", "test", "lint", "docs", "build", "bench")


def parse(words: list[str]) -> None:
    """Parse a command line as ``trimtab`` would, and run nothing."""
    context: click.Context = group.make_context("trimtab", words, obj=Session())
    command: click.Command = group
    rest = [*context._protected_args, *context.args]
    while isinstance(command, click.Group) and rest:
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args] if isinstance(command, click.Group) else []
    if context.info_name == "get" and context.params.get("noun") not in (None, UNKNOWN):
        noun_named(context.params["noun"])


@pytest.mark.parametrize(("place", "line"), SHOWN, ids=[place for place, _ in SHOWN])
def test_a_shown_command_parses(place: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if place.startswith(OPERATING) and "/opt/trimtab/bin/trimtab" in words:
        words = ["trimtab", *words[words.index("/opt/trimtab/bin/trimtab") + 1 :]]
    words = words[: min((words.index(sign) for sign in (">", "||") if sign in words), default=len(words))]
    match words:
        case ["trimtab", *rest]:
            parse(rest)
        case ["./dev", verb, *_]:
            assert verb in DEV
        case ["pip", "install", package]:
            # The wheel of ./dev build, or an extra of what is installed already: nothing is on a package index.
            assert re.fullmatch(r"(\$\(ls dist/\*\.whl\)|trimtab)\[\w+\]", package)
        case _ if place.startswith(OPERATING):
            pass
        case _:
            pytest.fail(f"{place}: no test knows {words[0]!r}")


def hints() -> Iterator[tuple[str, str]]:
    """The commands in what errors tell a person to type next, from the source; values are a word."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for text in _nexts(node):
                for command in re.findall(r"trimtab ([a-z]+(?: [^,;:()]*)?)", text):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", command


def _nexts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from (_text(word.value) for word in node.keywords if word.arg == "next")
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == "default_next" for target in targets) and node.value:
            yield re.sub(r"\{\w+\}", UNKNOWN, _text(node.value))


def _text(value: ast.expr) -> str:
    match value:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(part) if isinstance(part, ast.Constant) else UNKNOWN for part in values)
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
        case ast.IfExp(body=body, orelse=orelse):
            return f"{_text(body)}; {_text(orelse)}"
        case ast.BoolOp(values=values):
            return "; ".join(_text(part) for part in values)
    return ""


def test_what_errors_tell_to_type_can_be_typed() -> None:
    wrong = []
    for place, command in hints():
        words = re.split(r" (?:and|or|then|to|shows|makes|says) |\. ", command.strip())[0].strip(". ")
        try:
            parse(shlex.split(words.replace("...", UNKNOWN)))
        except click.BadParameter as error:
            if f"'{UNKNOWN}'" not in error.message:
                wrong.append(f"{place}: trimtab {words}  ({error.message})")
        except (click.ClickException, TrimtabError, ValueError) as error:
            wrong.append(f"{place}: trimtab {words}  ({getattr(error, 'message', error)})")
    assert wrong == []
