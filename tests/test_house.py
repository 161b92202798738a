"""The rules of the house that import-linter cannot say."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "trimtab"
ROOMS = sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists())
MODULES = sorted(SOURCE.rglob("*.py"))
LONGER = {
    "verify_offline.py": 670,  # lies in every evidence pack and must work by itself, so it cannot be divided
    "0001_first_schema.py": 670,  # a list of every table, which is written once
}
"""How many lines a file may have that has reason for more than the others."""


def _room(module: Path) -> str:
    parts = module.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def _imports(module: Path) -> list[tuple[int, str, str]]:
    """The (line, module, name) of each absolute import from trimtab."""
    found = []
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "trimtab":
            found += [(node.lineno, node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, a.name, "") for a in node.names if a.name.split(".")[0] == "trimtab"]
    return found


def test_a_room_imports_from_another_only_what_its_init_names() -> None:
    deep = []
    for module in MODULES:
        for line, source, _name in _imports(module):
            parts = source.split(".")
            if len(parts) > 2 and parts[1] != _room(module) and parts[1] != "wire":
                deep.append(f"{module.relative_to(SOURCE)}:{line} {source}")
    assert not deep, "\n".join(deep)


def test_nothing_but_the_kernel_reads_the_time() -> None:
    readers = []
    for module in MODULES:
        if _room(module) == "kernel":
            continue
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = f"{node.value.id}.{node.attr}"
                if name in {"datetime.now", "datetime.utcnow", "date.today", "time.time", "time.time_ns"}:
                    readers.append(f"{module.relative_to(SOURCE)}:{node.lineno} {name}")
    assert not readers, "\n".join(readers)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(SOURCE)))
def test_a_module_says_what_it_is_for(module: Path) -> None:
    text = module.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with one sentence about its purpose"
    assert len(text.splitlines()) <= LONGER.get(module.name, 500), "a file has one purpose and is rarely over 400 lines"


def test_nothing_catches_every_exception_in_silence() -> None:
    bare = [
        f"{module.relative_to(SOURCE)}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare, bare
