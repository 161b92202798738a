"""The folder of a replay: found again by what it replays, gone on with after a kill, begun anew as a whole."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, time
from pathlib import Path

from trimtab.declare import ModelSpec, Project
from trimtab.kernel import Conflict, Invalid, digest_of, lock
from trimtab.store import make_home

_STARTS = "attempts"


class ReplayRunning(Conflict):
    """Another process works on the same replay."""

    code = "loop.replay-running"
    default_why = "Two processes that replay the same hours would decide on each row twice."
    default_next = "wait for the other process, or end it; then type the same command again"


class ReplayHome:
    """The home of one replay, under ``folder``: one for each project file, declaration and span."""

    def __init__(self, folder: Path, project: Project, *, start: datetime, end: datetime) -> None:
        what = digest_of([project.spec, str(project.path)])[7:15]
        self.path = folder / "replays" / f"{replayed_model(project).name}-{_text_of(start)}-{_text_of(end)}-{what}"
        self._discarded = folder / "discarded"

    @property
    def seed(self) -> int:
        """What the ids of this replay are made from."""
        return int(digest_of(self.path.name)[7:23], 16)

    @contextmanager
    def started(self) -> Iterator[int]:
        """Have the home for oneself, made if need be; yield how often it was started, so that no id is made twice.

        Raises ``ReplayRunning`` when another process has it, and ``Invalid`` where it cannot be made.
        """
        make_home(self.path)
        try:
            starts = self._locked()
        except FileNotFoundError:  # discarded meanwhile, by one that begins anew
            raise self._running() from None
        try:
            count = int(os.pread(starts, 20, 0) or b"0")
            os.pwrite(starts, str(count + 1).encode(), 0)
            yield count
        finally:
            os.close(starts)

    def discard(self) -> None:
        """Remove what an earlier replay has left. Raises ``ReplayRunning`` when one is at work there.

        It is moved away in one step: killed halfway through its files, the rest would be taken for a home to go on
        with, whose ledger is not the one that it remembers.
        """
        with suppress(FileNotFoundError):
            starts = self._locked()
            try:
                self._discarded.mkdir(exist_ok=True)
                self.path.rename(self._discarded / f"{self.path.name}.{secrets.token_hex(4)}")
            finally:
                os.close(starts)
        # With what an earlier one was killed over.
        shutil.rmtree(self._discarded, ignore_errors=True)

    def _locked(self) -> int:
        starts = os.open(self.path / _STARTS, os.O_RDWR | os.O_CREAT, 0o644)
        # Whoever opened it in the moment in which another one discarded it holds the lock of a file that is gone.
        if not (lock(starts) and _is_at(starts, self.path / _STARTS)):
            os.close(starts)
            raise self._running()
        return starts

    def _running(self) -> ReplayRunning:
        return ReplayRunning("this replay is running already", where=f"replays/{self.path.name}")


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def replayed_model(project: Project) -> ModelSpec:
    """Return the model that a replay is about. Raises ``Invalid`` when there is none."""
    if not project.spec.models:
        raise Invalid(
            f"{project.path.name} declares no model",
            where=project.path.name,
            why="A replay asks a model about the rows of the past.",
            next="declare one with @tt.model(...)",
        )
    return project.spec.models[0]


def _text_of(at: datetime) -> str:
    """Write a moment for a name: the day, and the time when it is not the day's beginning."""
    at = at.astimezone(UTC)
    return f"{at:%Y%m%d}" if at.time() == time() else f"{at:%Y%m%dT%H%M%S}"
