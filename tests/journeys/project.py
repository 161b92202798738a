"""The project that the journeys share: parcels, two models on the same view, prepared once for a test session."""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

import pytest
from tests.journeys.shell import Shell
from tests.loop.parcels import SMALL

FILE = "trimtab_project.py"
SECOND = """

@tt.model(parcel, label=Parcel.delay > 30, train="all history", test="last 7 days")
def late(X, y, trees=8):
    from sklearn.ensemble import HistGradientBoostingClassifier
    return HistGradientBoostingClassifier(max_iter=trees, categorical_features="from_dtype").fit(X, y)


late.accept_if(tt.auc >= 0.6)
late.serve(rollout=tt.shadow("1d") >> tt.full)
"""
"""A model that runs through skops; ``slow``, the first, runs through ONNX."""


def write(folder: Path, *, models: int = 2, **replacements: str) -> Path:
    """Write the project with one model or two, and with other text in it."""
    text = SMALL.replace("ACCEPT", "0.7") + (SECOND if models == 2 else "")
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.write_text(text, "utf-8")
    return path


class LongFit:
    """Training that says when it has begun, and goes on until the file ``quick`` is in the project's folder."""

    def __init__(self) -> None:
        # User code writes nowhere else that others see.
        self._begun = Path("/dev/shm") / f"trimtab-test-{secrets.token_hex(8)}"

    @property
    def has_begun(self) -> bool:
        return self._begun.exists()

    def text(self, folder: Path) -> dict[str, str]:
        """Return what is to be replaced in the project of a folder."""
        waits = (
            f"    import os, time\n    open({str(self._begun)!r}, 'a').close()\n"
            f"    while not os.path.exists({str(folder / 'quick')!r}):\n        time.sleep(0.02)\n    X = X.drop"
        )
        return {"    X = X.drop": waits}

    def close(self) -> None:
        self._begun.unlink(missing_ok=True)


def copy_of_approved(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Shell:
    """Return a shell in a copy of a project on SQLite whose two models are approved and routed."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the workers of a session share one
    made = root / "approved-parcels"
    with (root / "approved-parcels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "done").exists():
            shutil.rmtree(made, ignore_errors=True)
            _prepare(made)
            (made / "done").touch()
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return Shell(folder)


def _prepare(folder: Path) -> None:
    write(folder)
    shell = Shell(folder)
    try:
        shell.run("apply", "--yes", "--because", "the parcels of early 2013")
        shell.run("approve", "slow@1", "--because", "first model")
        shell.run("approve", "late@1", "--because", "first model")
    finally:
        left = shell.close()
    assert not left, left
