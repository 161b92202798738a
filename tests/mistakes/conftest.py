"""One prepared home for the whole session, copied for each test that could hurt it."""

import fcntl
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.mistakes.homes import prepare, settings_of

from trimtab.cli.main import run
from trimtab.store import Store, open_store
from trimtab.store.identity import identity_of


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the prepared project, made once and shared by the processes that run tests side by side."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    folder = shared / "prepared-mistakes" / "project"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder.parent / "done").exists():
            prepare(folder)
            (folder.parent / "done").touch()
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the prepared project, as the folder in which the user stands."""
    return stand_in(prepared, tmp_path / "project", monkeypatch)


def stand_in(prepared: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, folder)
    identity_of(folder / ".trimtab")  # a copy is another home, and says so when it first asks
    monkeypatch.chdir(folder)
    for name in ("HOME", "DATABASE", "CLOCK", "SERVER", "TOKEN", "HOST", "PORT", "PROJECT"):
        monkeypatch.delenv(f"TRIMTAB_{name}", raising=False)
    (folder / "trimtab.toml").write_text('clock = "2013-03-01"\nproject = "parcels.py"\n')
    return folder


@pytest.fixture
def opened(folder: Path) -> Iterator[Store]:
    """The store of the copied home, opened as the user's program opens it."""
    store = open_store(settings_of(folder))
    yield store
    store.close()


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, str], str]]:
    """Type a command line; get its exit code, the four parts of its error, and all that it said."""

    def type_(line: str) -> tuple[int, dict[str, str], str]:
        capsys.readouterr()
        code = run(shlex.split(line))
        out, err = capsys.readouterr()
        return code, parts_of(err), out + err

    return type_


def parts_of(text: str) -> dict[str, str]:
    """Read the four parts of an error as the command line prints them."""
    parts: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("error: "):
            parts["where"], _, parts["what"] = line.removeprefix("error: ").partition(": ")
        elif line.startswith("  why   "):
            parts["why"] = line[8:]
        elif line.startswith("  next  "):
            parts["next"] = line[8:]
    return parts
