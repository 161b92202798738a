"""What stands in a Python block is Python, and names only what is there."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, blocks, name_of, pages

import trimtab
from trimtab.kernel import Actor, Settings
from trimtab.store import export_log, open_store
from trimtab.tracking import RunRecorder

SNIPPETS = [(page, line, code) for page in pages() for line, code in blocks(page, "python")]


def parsed() -> Iterator[tuple[str, ast.AST]]:
    for page, line, code in SNIPPETS:
        for node in ast.walk(ast.parse(code)):
            yield f"{name_of(page)}:{line + getattr(node, 'lineno', 0)}", node


@pytest.mark.parametrize(("page", "line", "code"), SNIPPETS, ids=[f"{name_of(p)}:{n}" for p, n, _ in SNIPPETS])
def test_a_snippet_compiles(page: Path, line: int, code: str) -> None:
    compile(code, f"{name_of(page)}:{line}", "exec", dont_inherit=True)


def test_only_words_of_the_language_are_used() -> None:
    unknown = []
    for place, node in parsed():
        chain: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if not (isinstance(inner, ast.Name) and inner.id == "tt" and chain):
            continue
        found: object = trimtab
        for name in chain:
            if not hasattr(found, name):
                unknown.append(f"{place} tt.{'.'.join(chain)}")
                break
            found = getattr(found, name)
    assert unknown == []


def test_what_is_imported_is_there() -> None:
    for place, node in parsed():
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert importlib.import_module(alias.name), place
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{place} {node.module}.{alias.name}"


def test_what_is_called_on_a_run_is_there() -> None:
    for place, node in parsed():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "run":
            assert hasattr(RunRecorder, node.attr) or node.attr == "id", f"{place} run.{node.attr}"


def test_the_ledger_is_verified_by_hand_as_described(tmp_path: Path) -> None:
    """The program of the page on the ledger, run: it accepts an exported ledger and refuses one that was changed."""
    from trimtab.data import take_snapshot
    from trimtab.declare import ContractSpec, FieldKind, FieldSpec, SourceSpec

    contract = ContractSpec(
        name="Thing", fields=(FieldSpec(name="id", kind=FieldKind.KEY), FieldSpec(name="at", kind=FieldKind.EVENT_TIME))
    )
    csv, ledger, program = tmp_path / "things.csv", tmp_path / "ledger.jsonl", tmp_path / "by_hand.py"
    source = SourceSpec(name="things", contract=contract, path="things.csv")
    store = open_store(Settings(home=str(tmp_path / "home")))
    for rows in range(1, 6):
        csv.write_text("id,at\n" + "".join(f"a{row},2013-01-0{row}T00:00:00Z\n" for row in range(1, rows + 1)), "utf-8")
        take_snapshot(store, source, {}, actor=Actor("tester"), because="by hand", folder=tmp_path)
    store.checkpoint()
    export_log(store, ledger)
    public = store.keys.public(store.origin)
    store.close()
    assert public is not None
    program.write_text(blocks(DOCS / "guide" / "ledger.md", "python")[-1][1], "utf-8")

    def by_hand() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(program), str(ledger), public]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "the first 5 of 5 events are what was signed" in by_hand().stdout
    ledger.write_bytes(ledger.read_bytes().replace(b'"rows":3', b'"rows":4'))
    changed = by_hand()
    assert changed.returncode != 0
    assert "are not what was signed" in changed.stderr
