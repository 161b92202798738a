"""What a step's result depends on besides its params and inputs: the text of its function's module and of what that
imports from the user's own files.

It is read and never imported: the key of a step is made in the runner's process, where no code of the user's runs. What
is imported by a name that only running tells is not seen.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from trimtab.kernel import digest_of, digest_of_bytes, digest_of_file

_OWN = Path(__file__).parents[1]
_INSTALLED = tuple({*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, str(_OWN)})
"""Folders whose code changes when something is installed, and not from one run to the next."""


def source_digest(function: str) -> str | None:
    """Return the digest of the code behind ``package.module:function``; None when its module is not found.

    Of the user's files it holds the code, at any depth of imports, without comments and blank lines; and all of
    Trimtab's.
    """
    module = function.partition(":")[0]
    files: dict[str, str] = {}
    _read(module, files)
    return digest_of({"trimtab": _own_digest(), "files": files}) if module in files else None


@cache
def _own_digest() -> str:
    return digest_of({str(file.relative_to(_OWN)): digest_of_file(file) for file in sorted(_OWN.rglob("*.py"))})


def _read(name: str, files: dict[str, str]) -> None:
    """Note a module, the packages that it lies in, and what they import."""
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in files or (file := _file_of(module)) is None:
            continue
        found = file.stat()
        files[module], imports = _parsed(file, found.st_mtime_ns, found.st_size, module)
        parts = module.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
        if not str(file).startswith(_INSTALLED):
            waiting += imports


def _file_of(module: str) -> Path | None:
    """Return the file that importing a module would run, as this process and its workers look for it."""
    path = Path(*module.split("."))
    for folder in map(Path, sys.path):
        for file in (folder / path / "__init__.py", folder / path.with_suffix(".py")):
            if file.is_file():
                return file
    return None


@lru_cache(maxsize=4096)
def _parsed(file: Path, _changed_ns: int, _size: int, module: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a file's code, and the modules that it may import."""
    data = file.read_bytes()
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return digest_of_bytes(data), ()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return digest_of_bytes(ast.dump(tree).encode()), tuple(sorted(set(_imports(tree, package))))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            if source:
                yield source
                yield from (f"{source}.{one.name}" for one in node.names)
