"""On Windows, where no worker can be forked, what runs pipelines refuses at the door; looking and asking go on."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Type
from tests.loop.parcels import write_project

WITHOUT_POSIX = """
import sys
from importlib.abc import MetaPathFinder

class Without(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("resource", "termios", "pwd", "grp", "pty"):
            raise ModuleNotFoundError(name)

for name in ("resource", "termios", "pwd", "grp", "pty"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Without())
from trimtab.cli.main import run
sys.exit(run(["get", "models"]))
"""


@pytest.mark.parametrize("words", [("apply", "--yes"), ("run", "slow"), ("up",)], ids=" ".join)
def test_what_runs_pipelines_says_so_and_submits_nothing(
    trimtab: Type, tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path / "trimtab_project.py")
    assert trimtab("plan").code == 2  # imports what this system's packages need
    monkeypatch.setattr(sys, "platform", "win32")
    refused = trimtab(*words)
    assert refused.code == 1
    assert "pipelines do not run on Windows" in refused.err
    assert "which only POSIX systems offer" in refused.err
    assert "run it on Linux or macOS" in refused.err
    if (tmp_path / ".trimtab").exists():
        assert trimtab("get", "pipelines", "-o", "json").out.strip() == "[]"


def test_nothing_that_only_posix_has_is_needed_to_look(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "there is no project in .trimtab" in done.stderr
