"""Shells for journeys, each in a folder of its own and tidied up behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.journeys.project import LongFit, copy_of_approved
from tests.journeys.shell import Shell


@pytest.fixture
def tidy() -> Iterator[Callable[[Shell], Shell]]:
    """Take shells; at the end nothing that was started in them may still run, however the test went."""
    shells: list[Shell] = []

    def keep(shell: Shell) -> Shell:
        shells.append(shell)
        return shell

    yield keep
    left = {pid: what for shell in shells for pid, what in shell.close().items()}
    assert not left, f"processes were left behind: {left}"


@pytest.fixture
def long_fit() -> Iterator[LongFit]:
    fit = LongFit()
    yield fit
    fit.close()


@pytest.fixture
def shell(tmp_path: Path, database_url: str, tidy: Callable[[Shell], Shell]) -> Shell:
    """A shell in an empty folder, once for each database."""
    return tidy(Shell(tmp_path / "project", database=database_url))


@pytest.fixture
def approved(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, tidy: Callable[[Shell], Shell]) -> Shell:
    """A shell in a project on SQLite whose models ``slow`` and ``late`` are approved and routed."""
    return tidy(copy_of_approved(tmp_path_factory, tmp_path / "approved"))
