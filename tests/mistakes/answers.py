"""What a good answer to a mistake is: four parts, at the user's place, with something next that can be done."""

import re
import shlex
from typing import NamedTuple

import click

from trimtab.cli.listing import VERBS
from trimtab.cli.main import trimtab
from trimtab.cli.verbs.get import NOUNS, OTHER_WORDS
from trimtab.store import Store, VerificationKind, verify

PARTS = ("what", "where", "why", "next")
INTERNAL = re.compile(
    r"Traceback|File \"|site-packages|/trimtab/|\bSELECT\b.*\bFROM\b|\bINSERT INTO\b|\[SQL|sqlalchemy|sqlite3\.|"
    r"psycopg|\bORA-|0x[0-9a-f]{6,}| object at |msgspec\.|starlette\."
)
COMMAND = re.compile(r"\btrimtab (?=[a-z])([^;,\n]*)")


class Mistake(NamedTuple):
    """Parts of the answer that a case expects; each must stand in the part of the same name."""

    what: str
    where: str
    next: str


def check(parts: dict[str, str], expected: Mistake) -> None:
    """Fail unless an answer has four good parts, and says what was expected."""
    for part in PARTS:
        text = parts.get(part, "")
        assert text.strip(), f"{part} is empty: {parts}"
        assert not INTERNAL.search(text), f"{part} shows the inside: {text}"
    assert re.search(r"[.!?]$", parts["why"]), f"why is a sentence: {parts['why']!r}"
    assert not parts["what"].endswith("."), f"what is no sentence: {parts['what']!r}"
    assert expected.what in parts["what"], parts
    assert expected.where in parts["where"], parts
    assert expected.next in parts["next"], parts
    for command in commands_in(parts["next"]):
        check_command(command)


def commands_in(text: str) -> list[str]:
    """Return the command lines of Trimtab that a text tells one to type."""
    return [f"trimtab {found}".rstrip() for found in COMMAND.findall(text)]


def check_command(command: str) -> None:
    """Fail unless the verb, the noun and the options of a command line exist."""
    try:
        words = shlex.split(command)[1:]
    except ValueError:
        words = command.split()[1:]
    if not words:
        return
    verb, *rest = words
    assert verb in VERBS, f"no such verb: {command}"
    found = trimtab.get_command(click.Context(trimtab), verb)
    assert found is not None
    if isinstance(found, click.Group):
        assert rest, f"{verb} needs another word: {command}"
        sub = found.commands.get(rest[0])
        assert sub is not None, f"no such verb: {command}"
        found = sub
    if "--help" in rest:
        return
    if verb == "get" and rest and rest[0] != "NOUN":
        assert {rest[0], f"{rest[0]}s"} & {*NOUNS, *OTHER_WORDS}, f"no such noun: {command}"
    needed = [one for one in found.params if isinstance(one, click.Argument) and one.required and one.nargs == 1]
    given = [word for word in rest if not word.startswith("-")]
    assert len(given) >= len(needed), f"{needed[len(given)].name} is missing: {command}"
    options = {"--home", "--clock"} | {option for parameter in found.params for option in parameter.opts}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"no such option: {command}"


def check_store_is_whole(store: Store) -> None:
    """Fail unless the ledger proves itself, and nothing waits to be written."""
    found = verify(store)
    assert found.kind is VerificationKind.INTACT, found
