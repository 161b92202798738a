"""What the command line's tests share: a way to type, and a seeded home."""

import io
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.seeded import Seeded

from trimtab.cli.main import run

Type = Callable[..., "Typed"]


class Typed(NamedTuple):
    """What one command line came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def trimtab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a command line in an empty folder, as somebody without a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIMTAB_CLOCK", "2013-03-01")

    def type_(*words: str) -> Typed:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(list(words))
        return Typed(code, out.getvalue(), err.getvalue())

    return type_


@pytest.fixture
def at_begun(trimtab: Type, tmp_path: Path, migrated: Path) -> Type:
    """Type a command line in a folder with a project in which nothing has happened yet."""
    (tmp_path / ".trimtab").mkdir()
    shutil.copy(migrated, tmp_path / ".trimtab" / "trimtab.db")
    return trimtab


@pytest.fixture
def at_seeded(trimtab: Type, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a command line where much has happened."""
    monkeypatch.setenv("TRIMTAB_HOME", str(seeded.home))
    monkeypatch.setenv("TRIMTAB_PROJECT", str(seeded.project))
    monkeypatch.setenv("TRIMTAB_CLOCK", seeded.settings.clock)
    return trimtab
