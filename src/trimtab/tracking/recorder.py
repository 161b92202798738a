"""What a user holds while a run goes on: words that take microseconds."""

import atexit
import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Collection, Mapping
from contextvars import ContextVar, Token
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from trimtab.kernel import Conflict, TrimtabError
from trimtab.tracking.backend import Backend
from trimtab.tracking.console import Console
from trimtab.tracking.datasets import digest_of_frame
from trimtab.tracking.directions import BETTER, Direction
from trimtab.tracking.environment import capture_environment
from trimtab.tracking.errors import BadName, ParamChanged, RunNotRunning
from trimtab.tracking.journal import check_dataset
from trimtab.tracking.keeping import keep_packed, media_type_of, model_params
from trimtab.tracking.models import PackedModel, pack_model
from trimtab.tracking.names import (
    FURTHEST_STEP,
    checked_artifact,
    checked_media_type,
    checked_name,
    fit_key,
    fit_text,
)
from trimtab.tracking.numbers import moment_of, number_of, step_of
from trimtab.tracking.reading import microseconds
from trimtab.tracking.records import (
    Artifact,
    DatasetLink,
    Environment,
    FinishRun,
    LoggedModel,
    MetricPoint,
    Run,
    RunStatus,
    json_value,
)
from trimtab.tracking.texts import json_of, name_of, named, texts_of, warn
from trimtab.tracking.writer import BATCH_POINTS, Writer, insist

_current: ContextVar["RunRecorder | None"] = ContextVar("trimtab_run", default=None)
_open: "weakref.WeakSet[RunRecorder]" = weakref.WeakSet()


def current_run() -> "RunRecorder | None":
    """Return the run whose ``with`` block this is, if any."""
    return _current.get()


class RunRecorder:
    """A run that is going on. Every method may be called from any thread of the process that started it.

    What is logged is written at most ``WRITE_EVERY_S`` later; ``flush`` returns when it is. Use it as a context
    manager, or call ``finish``: an exception that leaves the block makes the run ``failed``.
    """

    def __init__(
        self, backend: Backend, run: Run, *, capture: Collection[str] = (), parent: Any = None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.id = run.id
        self.name = run.name
        self.experiment = run.experiment
        self._backend = backend
        self._parent = parent  # keeps the parent's backend open
        self._folder = folder
        self._clock = backend.clock
        self._pid = os.getpid()
        self._steps: dict[str, int] = {}
        self._params: dict[str, str] = dict(run.params)
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._ending = False
        self._ended: Run | None = None
        self._token: Token[RunRecorder | None] | None = None
        self._environment: Environment | None = None
        self._console = Console() if "console" in capture else None
        self._writer = Writer(backend, run.id, self._console)
        self._capturing = threading.Thread(target=self._capture, name="trimtab-environment", daemon=True)
        if "environment" in capture:
            self._capturing.start()
        if self._console:
            self._console.start()
        _open.add(self)

    # --- what a user says ------------------------------------------------------------------------------------------

    def log_metric(self, key: str, value: float, step: int | None = None, *, at: datetime | None = None) -> None:
        """Log one value. Without ``step`` it is the next of its metric: 0, 1, 2, ... NaN and infinities are kept.

        A missing value (None, ``pd.NA``) is NaN. What is no number is kept as the tag ``metric.<key>``, with a warning.
        """
        next_step = self._steps.get(key) if type(key) is str else None
        if next_step is None:
            self._check_open()
            key = name_of(key, of="metric", warn=self._warn_once)
            next_step = self._steps.get(key, 0)
        number = number_of(value)
        if number is None:
            self._warn_once(
                f"metric {key[:60]!r} was given what is no number: it is kept as the tag 'metric.{key[:60]}'"
            )
            self.set_tag(f"metric.{key}", value)
            return
        now = self._clock.now()
        if step is not None:
            next_step = step_of(step, key=key, next_step=next_step, warn=self._warn_once)
        moment = now if at is None else moment_of(at, key=key, now=now, warn=self._warn_once)
        shown = json_value(number)
        if type(shown) is str and isinstance(value, int):
            self._warn_once(f"metric {key[:60]!r} was given a number beyond the largest float: it is kept as {shown}")
        self._steps[key] = min(next_step + 1, FURTHEST_STEP)
        points = self._writer.points
        points.append(MetricPoint(key, next_step, microseconds(moment), shown))
        if len(points) >= BATCH_POINTS:
            self._writer.crowded()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log several values of one moment."""
        at = self._clock.now()
        for key, value in named(metrics, of="metric"):
            self.log_metric(key, value, step, at=at)

    def log_param(self, key: str, value: Any) -> None:
        """Log how the run is made; a parameter keeps its value, and another one raises ``ParamChanged``."""
        self.log_params({name_of(key, of="parameter"): value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log several parameters, whatever their values are. Lists, mappings and the like are kept as JSON.

        A value of which only a part can be kept is kept as that part, with a warning. A namespace or dataclass may be
        given too. Raises ``ParamChanged`` for a parameter that has another value; the others are kept.
        """
        self._check_open()
        texts = texts_of(params, of="parameter")
        with self._lock:
            new = {key: text for key, text in texts.items() if key not in self._params}
            self._writer.add(params=new)
            self._params |= new
        for key, text in texts.items():
            if self._params[key] != text:
                raise ParamChanged(
                    f"parameter {key!r} is {self._params[key][:60]!r} already, not {text[:60]!r}",
                    where=f"run {self.name}", run=self.id, key=key,
                )  # fmt: skip

    def set_tag(self, key: str, value: Any) -> None:
        """Set one tag; the last value counts."""
        self.set_tags({name_of(key, of="tag"): value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags."""
        self._check_open()
        self._writer.add(tags=texts_of(tags, of="tag"))

    def define_metric(self, key: str, *, better: Direction) -> None:
        """Say which direction of a metric is better, so that pages can mark the best run: ``lower`` or ``higher``.

        It is kept as the tag ``better.KEY``. Raises ``BadName`` for another direction.
        """
        if better not in ("lower", "higher"):
            raise BadName(
                f"{better!r} is no direction of a metric",
                where=f"metric {str(key)[:60]}",
                why="Of two values either the lower or the higher is better; without a word, neither.",
                next=f'run.define_metric("{str(key)[:60]}", better="lower")',
            )
        self.set_tags({BETTER + fit_key(str(key)): better})

    def log_dataset(self, data: Any, *, role: str = "train", name: str = "", rows: int | None = None) -> str:
        """Link data that the run uses: a digest, something that has one (a snapshot), or a frame; return the digest."""
        self._check_open()
        known = data if isinstance(data, str) else getattr(data, "digest", None)
        if isinstance(known, str):
            digest, count = known, rows if rows is not None else getattr(data, "rows", None)
            name = name or str(getattr(data, "id", ""))
        else:
            digest, count = digest_of_frame(data)
        link = DatasetLink(digest=digest, role=role, name=name, rows=count)
        check_dataset(link)
        self._writer.add(dataset=link)
        return digest

    def log_artifact(self, path: str | Path, name: str | None = None) -> Artifact:
        """Keep a copy of a file, under its own name or another; it is written when this returns."""
        try:
            file = Path(path)
            data = file.read_bytes()
        except (OSError, TypeError, ValueError) as error:
            raise BadName(
                f"{str(path)[-80:]!r} cannot be read: {type(error).__name__}",
                where="log_artifact",
                why="An artifact is a file that exists when it is logged.",
                next="write the file first, then log it",
            ) from None
        return self.log_bytes(data, name or file.name)

    def log_bytes(self, data: bytes, name: str, *, media_type: str = "") -> Artifact:
        """Keep bytes as an artifact."""
        self._check_open()
        name = checked_artifact(name)
        media_type = checked_media_type(media_type or media_type_of(name))
        if not isinstance(data, bytes | bytearray | memoryview):
            raise _unfit(name, data, "bytes", next="give bytes, or use log_text, log_dict or log_artifact")
        plain = bytes(data)
        return insist(lambda: self._backend.put_artifact(self.id, name, plain, media_type=media_type))

    def log_text(self, text: str, name: str) -> Artifact:
        """Keep a text as an artifact."""
        name = checked_artifact(name)
        if not isinstance(text, str):
            raise _unfit(name, text, "a text", next="give a text, or use log_bytes or log_dict")
        return self.log_bytes(
            text.encode("utf-8", "replace"), name, media_type="text/plain" if name.endswith(".txt") else ""
        )

    def log_dict(self, value: Any, name: str) -> Artifact:
        """Keep a value as an artifact in JSON; what JSON has no word for is a text in it, such as ``"nan"``."""
        text, lacks = json_of(value)
        if lacks:
            warn(f"artifact {str(name)[:60]!r} {lacks}")
        return self.log_bytes(msgspec.json.format(text.encode()), name, media_type="application/json")

    def log_model(self, model: Any, sample: Any, *, name: str = "model") -> LoggedModel:
        """Keep a trained model, its signature, the first rows of the sample and the profile of all of them.

        ``sample`` is the frame or matrix that it was trained on. All of the model's parameters are logged too, those of
        nested estimators as ``inner__C``: under its own name, or as ``<name>.C`` where the run has ``C`` with another
        value. Raises ``NotPackable`` for a model that could not be loaded safely.
        """
        self._check_open()
        checked_name(checked_artifact(name), of="a model")
        # First, so that a run whose model cannot be kept still says how it was made.
        self.log_model_params(model_params(model), name=name)
        return self.log_packed(pack_model(model, sample), name=name)

    def log_packed(self, packed: PackedModel, *, name: str = "model") -> LoggedModel:
        """Keep a model that was packed elsewhere, as ``log_model`` keeps it."""
        self._check_open()
        logged = keep_packed(self, packed, name=checked_name(checked_artifact(name), of="a model"))
        insist(lambda: self._backend.put_model(self.id, logged))
        return logged

    def log_model_params(self, params: Mapping[str, str], *, name: str = "model") -> None:
        """Log a model's parameters, as ``model_params`` gives them, under names of which the run has no other value."""
        self._log_free(params, of=name)

    @property
    def is_here(self) -> bool:
        """Whether this process started the run; a forked one did not."""
        return os.getpid() == self._pid

    @property
    def params(self) -> Mapping[str, str]:
        """The parameters that this recorder knows of."""
        return dict(self._params)

    @property
    def environment(self) -> Environment | None:
        """What the run runs in; waits until that is known. None when it was not to be captured."""
        if self._capturing.ident is not None and threading.current_thread() is not self._capturing:
            self._capturing.join()
        return self._environment

    def keep_environment(self) -> Environment:
        """Return what the run runs in, and keep that now where it could not be kept at the beginning.

        Raises ``Unavailable`` when the blobs do not take it.
        """
        if (found := self.environment) is None:
            self._environment = found = insist(self._captured)
        return found

    def flush(self) -> None:
        """Return when everything that was logged before is written; raise what went wrong with it."""
        self._check_open()
        self._writer.flush()

    def finish(self, status: RunStatus | str = RunStatus.FINISHED, *, error: str = "") -> Run:
        """End the run; everything is written and sealed when this returns. Ending twice is ending once."""
        if self._ended is not None:
            return self._ended
        self._check_process()
        _open.discard(self)
        if self._console:
            self._console.stop()
        _ = self.environment  # waits for it
        self._ending = True
        self._steps = {}  # so that a later word looks whether the run goes on
        self._writer.stop()
        finish = FinishRun(status=RunStatus(status), error=error)
        self._ended = insist(lambda: self._writer.finish(finish))
        if self._parent is None:
            self._backend.close()
        self._writer.raise_problem()
        return self._ended

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            with contextlib.suppress(ValueError):  # left in another context than it was entered in
                _current.reset(self._token)
        if error is None:
            self.finish()
            return
        left = isinstance(error, SystemExit) and error.code in (0, None)
        status = RunStatus.KILLED if isinstance(error, KeyboardInterrupt) else RunStatus.FAILED
        # The user's own error is the one to see; what goes wrong while ending the run must not hide it.
        with contextlib.suppress(TrimtabError):
            if left:
                self.finish()
            else:
                self.finish(status, error=_spoken(error))

    def __repr__(self) -> str:
        return f"<run {self.name} of {self.experiment}, {self.id}>"

    # --- what goes on behind it ------------------------------------------------------------------------------------

    def _capture(self) -> None:
        """Note what the run runs in. Nothing that goes wrong here may touch the user's work."""

        try:
            self._environment = self._captured()
        except Exception as error:  # noqa: BLE001  the edge of a convenience
            self._writer.add(tags={"environment.problem": _spoken(error)[:500]})

    def _captured(self) -> Environment:
        def keep(diff: bytes) -> str:
            return self._backend.put_artifact(
                self.id, "environment/uncommitted.diff", diff, media_type="text/plain"
            ).digest

        found = capture_environment(folder=self._folder, keep=keep)
        data = msgspec.json.format(msgspec.json.encode(found))
        self._backend.put_artifact(self.id, "environment/environment.json", data, media_type="application/json")
        if found.code is not None:
            tags = {"git.commit": found.code.commit, "git.dirty": str(found.code.dirty).lower()}
            if found.code.branch:
                tags["git.branch"] = found.code.branch[:500]
            self._writer.add(tags=tags)
        return found

    def _log_free(self, texts: Mapping[str, str], *, of: str) -> None:
        """Log a model's parameters, each under the first name under which the run has no other value."""
        with self._lock:
            for key, text in texts.items():
                prefixes = itertools.chain(("", f"{of}."), (f"{of}.{n}." for n in itertools.count(2)))
                names = (fit_key(prefix + key) for prefix in prefixes)
                name = next(name for name in names if self._params.get(name, text) == text)
                if name not in self._params:
                    self._writer.add(params={name: text})
                    self._params[name] = text

    def _warn_once(self, what: str) -> None:
        """Warn of what would be said again at each step."""
        if what not in self._told:
            self._told.add(what)
            warn(what)

    def _check_open(self) -> None:
        self._check_process()
        if self._ending:
            raise RunNotRunning(f"the run {self.name} has ended", where=f"run {self.name}", run=self.id)

    def _check_process(self) -> None:
        if not self.is_here:
            raise Conflict(
                f"the run {self.name} belongs to another process",
                where=f"run {self.name}",
                why="A forked process has no share in the thread that writes.",
                next=f"log from the process that started the run, or start one here: tt.run(parent={self.id!r})",
            )


def _spoken(error: BaseException) -> str:
    kind = type(error).__name__
    try:
        return fit_text(f"{kind}: {error}"[:2000])
    except Exception:  # noqa: BLE001  its own text fails
        return kind


def _unfit(name: str, value: object, wanted: str, *, next: str) -> BadName:
    return BadName(
        f"a {type(value).__name__} is not {wanted}",
        where=f"artifact {name[:60]}",
        why="An artifact is kept as the bytes that it was given as.",
        next=next,
    )


_held: "list[RunRecorder]" = []


def _hold_before_fork() -> None:
    """Let batches that are being written arrive: a child would inherit the locks of a database in the middle of it."""
    _held[:] = [recorder for recorder in list(_open) if recorder.is_here and recorder._writer.hold()]  # noqa: SLF001


def _release_in_parent() -> None:
    while _held:
        _held.pop()._writer.release()  # noqa: SLF001


def _forget_in_child() -> None:
    _held.clear()
    for recorder in list(_open):
        recorder._steps = {}  # noqa: SLF001  so that its next word finds out whose it is
        if recorder._console:  # noqa: SLF001
            recorder._console.forget()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_before_fork, after_in_parent=_release_in_parent, after_in_child=_forget_in_child)


@atexit.register
def _end_open_runs() -> None:
    """End the runs that nobody ended; a program that leaves this way has come to its end."""
    for recorder in sorted(_open, key=lambda one: one.id, reverse=True):
        with contextlib.suppress(TrimtabError):
            if recorder.is_here:
                recorder.finish()
