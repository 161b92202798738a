"""Digests of the user's functions: the text of a function and of what it uses from the user's own files."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fairlead.kernel import digest_of


def code_digest(function: Callable[..., Any]) -> str:
    """Return the digest of a function's source text, its decorators left out.

    Functions, classes, modules and plain constants of the user's folder that it names are part of it, so a changed
    helper changes the digest, while a changed comment of an unrelated function does not.
    """
    texts: dict[str, str] = {}
    _collect(function, texts, folder=_folder_of(function))
    return digest_of(texts)


def _collect(thing: Any, texts: dict[str, str], *, folder: Path | None) -> None:
    name = f"{getattr(thing, '__qualname__', repr(thing))}"
    if name in texts:
        return
    texts[name] = _source(thing)
    if not isinstance(thing, FunctionType):
        return
    for used in sorted(_global_names(thing.__code__)):
        value = inspect.unwrap(thing.__globals__.get(used))  # type: ignore[arg-type]  # unwrap passes others through
        if isinstance(value, FunctionType | type):
            if folder is not None and _folder_of(value) == folder:
                _collect(value, texts, folder=folder)
        elif isinstance(value, ModuleType):
            if folder is not None and _folder_of(value) == folder:
                texts.setdefault(f"module {used}", _source(value))
        elif _is_plain(value):
            texts.setdefault(f"{used} =", repr(value))


def _source(thing: Any) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        # Typed into a shell that keeps no text: what was compiled must do.
        code = getattr(thing, "__code__", None)
        return f"{code.co_code.hex()} {code.co_names} {_constants(code)}" if code else repr(thing)
    if isinstance(thing, ModuleType):
        return text
    try:
        node = ast.parse(text).body[0]
    except SyntaxError:  # a lambda inside a longer statement
        return text
    first = getattr(node, "lineno", 1) - 1 if isinstance(node, ast.FunctionDef | ast.ClassDef) else 0
    return "\n".join(line.rstrip() for line in text.splitlines()[first:])


def _is_plain(value: object) -> bool:
    """Say whether a value is a constant whose text tells it apart; a table of data is not, and is no code."""
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, int | float | str | bytes)


def _constants(code: CodeType) -> str:
    return ", ".join(one.co_code.hex() if isinstance(one, CodeType) else repr(one) for one in code.co_consts)


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _folder_of(thing: Any) -> Path | None:
    try:
        return Path(inspect.getfile(thing)).parent
    except (OSError, TypeError):
        return None
