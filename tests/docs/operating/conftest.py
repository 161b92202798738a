"""Trimtab as the guide installs it, once a session: from the wheel, with the container's own lines, into /opt."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.docs.operating.machine import Machine, instructions, needs_root
from tests.docs.pages import ROOT

INSTALLING_S = 1500.0
DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as far as the guide needs it, with what ``./dev build`` makes in ``dist/``."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    shutil.copy(ROOT / "constraints.txt", folder)
    subprocess.run([ROOT / "dev", "build", folder / "dist"], check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="session")
def opt(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be a machine's ``/opt``, in which the lines of the Dockerfile have installed Trimtab."""
    needs_root()
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the workers of a session share one
    made = root / "opt"
    with (root / "opt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "done").exists():
            shutil.rmtree(made, ignore_errors=True)
            with Machine(root / "installing", opt=made) as machine:
                for file in (built / "constraints.txt", *(built / "dist").glob("*.whl")):
                    shutil.copy(file, machine.folders["srv"])
                machine.run(install_line(), online=True, seconds=INSTALLING_S)
            (made / "done").touch()
    return made


def install_line() -> str:
    """The line of the Dockerfile that installs Trimtab, without what only a builder of images knows."""
    (line,) = [text for name, text in instructions(DOCKERFILE) if name == "RUN" and "pip" in text]
    return line.replace(" --no-cache-dir", "")
