"""Digests of the user's functions: the text of a function and of what it uses from the user's own files."""

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from trimtab.kernel import digest_of

Scope = Mapping[str, Any]
HELPERS = "__trimtab_helpers__"
"""Under this name a project's module keeps the modules beside its file that it was loaded with, by name."""
_ATOMS = (bool, int, float, complex, str, bytes, date, time, timedelta, Decimal, range)


def code_digest(function: Callable[..., Any]) -> str:
    """Return the digest of a function's source text, its decorators left out.

    What it names from the user's folder is part of it, at any depth: functions with their decorators and defaults,
    classes with their bases, whole modules, and constants, by the statement that makes them and, where it is plain, by
    the value. So a changed helper changes the digest, while a changed comment of an unrelated function does not.
    """
    reading = _Reading(_folder_of(function), getattr(function, "__globals__", {}).get(HELPERS, {}))
    reading.function(function)
    return digest_of(reading.texts)


class _Reading:
    """What was read so far, by ``file:name``; ``folder`` is the user's own."""

    def __init__(self, folder: Path | None, helpers: Mapping[str, ModuleType]) -> None:
        self.texts: dict[str, str] = {}
        self._folder = folder
        self._helpers = helpers

    def function(self, function: Any) -> None:
        """Read a function without its decorators, what it was made with, and what it names."""
        key = f"{self._file(getattr(function, '__globals__', {}))}:{getattr(function, '__qualname__', repr(function))}"
        if key in self.texts:
            return
        self.texts[key] = text = _source(function)
        if not isinstance(function, FunctionType):
            return
        made_with = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for value in made_with:
            self.texts[key] += f"\n{_plain(value) or ''}"
        for name, value in inspect.getclosurevars(function).nonlocals.items():
            self._value(value, f"{key}.{name}")
        self._imports_inside(text)
        self._names(function.__code__, function.__globals__)

    def _names(self, code: CodeType, scope: Scope) -> None:
        for name in sorted(set(_names_in(code))):
            if name in scope:
                self._bound(name, scope)

    def _bound(self, name: str, scope: Scope) -> None:
        """Read what a name of one of the user's modules is bound to: the statements that bind it, and its value."""
        key = f"{self._file(scope)}:{name}"
        if key in self.texts or not self._is_own(scope):
            return
        self.texts[key] = ""
        statements = [one for one in _statements(_module_text(scope)) if name in one.binds]
        for statement in statements:
            if not isinstance(statement.node, ast.Import | ast.ImportFrom):
                self.texts[key] += statement.text + "\n"
                self._imports_inside(statement.text)
                self._names(statement.code, scope)
            for node in ast.walk(statement.node):
                if isinstance(node, ast.Import | ast.ImportFrom) and name in _binds(node):
                    self._imported(node, name, scope)
        value = scope[name]
        if statements and not isinstance(value, FunctionType | type | ModuleType):
            self.texts[key] += _plain(value) or ""
        elif not statements:
            self._value(value, key)

    def _imported(self, node: ast.Import | ast.ImportFrom, name: str, scope: Scope) -> None:
        """Read what an import of one of the user's modules brought."""
        value = scope[name]
        if isinstance(value, ModuleType) or isinstance(node, ast.Import):
            self._value(value, name)
            return
        own = next((one.name for one in node.names if (one.asname or one.name) == name), name)
        wanted = "." * node.level + (node.module or "")
        try:
            wanted = resolve_name(wanted, scope.get("__package__") or "")
        except ImportError:
            wanted = ""
        # Another project in this process may have a module of the same name by now.
        module = self._helpers.get(wanted) or sys.modules.get(wanted)
        if module is not None and vars(module).get(own) is value:
            self._bound(own, vars(module))
        else:
            self._value(value, name)

    def _value(self, value: Any, key: str) -> None:
        """Read something by what it is, where no statement says how it came to be."""
        value = value if isinstance(value, type) else inspect.unwrap(value)
        if isinstance(value, ModuleType):
            if self._is_own(vars(value)):
                self._module(value)
        elif isinstance(value, FunctionType):
            if self._is_own(value.__globals__):
                self.function(value)
        elif isinstance(value, type):
            if self._folder is not None and _folder_of(value) == self._folder:
                self.texts.setdefault(key, "")
                self.texts[key] += _source(value)
        elif (text := _plain(value)) is not None:
            self.texts[key] = text

    def _module(self, module: ModuleType) -> None:
        key = f"{self._file(vars(module))}:"
        if key in self.texts:
            return
        self.texts[key] = _source(module)
        for statement in _statements(_module_text(vars(module))):
            for node in ast.walk(statement.node):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    for name in _binds(node):
                        if name in vars(module):
                            self._imported(node, name, vars(module))

    def _imports_inside(self, text: str) -> None:
        """Read the modules beside the file that a function imports when it runs."""
        for statement in _statements(textwrap.dedent(text)):
            for node in ast.walk(statement.node):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
                for name in names:
                    file = (self._folder or Path()) / f"{name.replace('.', '/')}.py"
                    if self._folder is not None and file.is_file():
                        self.texts.setdefault(f"{name.replace('.', '/')}.py:", "".join(linecache.getlines(str(file))))

    def _file(self, scope: Scope) -> str:
        file = scope.get("__file__")
        if not file or self._folder is None or not Path(file).is_relative_to(self._folder):
            return ""
        return Path(file).relative_to(self._folder).as_posix()

    def _is_own(self, scope: Scope) -> bool:
        """Say whether a module is the user's: beside the file, and not an installed package. A shell's cells are."""
        file = scope.get("__file__")
        if not file:
            return scope.get("__name__") == "__main__"
        own = self._folder is not None and Path(file).is_relative_to(self._folder)
        return own and "site-packages" not in file and not str(scope.get("__name__")).startswith("trimtab.")


class _Statement:
    """A statement at the top of a module: its text without comments around it, and the names that it binds."""

    def __init__(self, node: ast.stmt, source: str) -> None:
        self.node = node
        parts = [*getattr(node, "decorator_list", ()), node]
        texts = [ast.get_source_segment(source, part) or "" for part in parts]
        self.text = "\n".join(line.rstrip() for text in texts for line in text.splitlines())
        self.binds = frozenset(_binds(node))

    @property
    def code(self) -> CodeType:
        return compile(ast.Module([self.node], []), "<statement>", "exec")


@lru_cache(maxsize=64)
def _statements(source: str) -> tuple[_Statement, ...]:
    try:
        return tuple(_Statement(node, source) for node in ast.parse(source).body)
    except (SyntaxError, ValueError):
        return ()


def _binds(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Import() | ast.ImportFrom():
            yield from (one.asname or one.name.partition(".")[0] for one in node.names)
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _binds(child)


def _module_text(scope: Scope) -> str:
    file = scope.get("__file__")
    return "".join(linecache.getlines(file)) if file else ""


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


def _plain(value: object) -> str | None:
    """Return a constant as text that tells it apart; None for a table of data, or anything else that is no constant."""
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item) for item in value]
        known = [item for item in items if item is not None]
        ordered = sorted(known) if isinstance(value, set | frozenset) else known
        return f"[{', '.join(ordered)}]" if len(known) == len(items) else None
    if isinstance(value, dict):
        pairs = [(_plain(key), _plain(item)) for key, item in value.items()]
        return (
            None if any(None in pair for pair in pairs) else f"{{{', '.join(f'{key}: {item}' for key, item in pairs)}}}"
        )
    return repr(value) if value is None or isinstance(value, _ATOMS) else None


def _constants(code: CodeType) -> str:
    return ", ".join(one.co_code.hex() if isinstance(one, CodeType) else repr(one) for one in code.co_consts)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _folder_of(thing: Any) -> Path | None:
    try:
        return Path(inspect.getfile(thing)).parent
    except (OSError, TypeError):
        return None
