"""Start a run: ``with tt.run("first try") as run``, with no server or against one, in the same words."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from trimtab.kernel import Actor, Settings, load, this_user
from trimtab.store import Store, open_store, server_at
from trimtab.tracking.backend import Backend, StoreBackend
from trimtab.tracking.errors import BadName
from trimtab.tracking.process import this_host, this_process
from trimtab.tracking.recorder import RunRecorder, current_run
from trimtab.tracking.records import RunKind, StartRun
from trimtab.tracking.remote import ServerBackend
from trimtab.tracking.runs import find_lost
from trimtab.tracking.texts import texts_of

EVERYTHING = ("environment", "console")


def run(
    name: str = "",
    *,
    experiment: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    parent: RunRecorder | str | None = None,
    because: str = "",
    settings: Settings | None = None,
    capture: Collection[str] = EVERYTHING,
) -> RunRecorder:
    """Start a run, and end it with its ``with`` block. Code, packages, machine and output are captured.

    Where it goes is a setting: the server that ``TRIMTAB_SERVER`` names, else the store of this folder. Inside the
    block of another run it becomes its child. ``experiment`` is the name under which runs are compared
    (``default``, or the parent's).
    """
    if not isinstance(parent, RunRecorder | str | None):
        raise BadName(
            f"a {type(parent).__name__} is no run",
            where="parent",
            why="A parent is a run that is going on here, or the id of any.",
            next="give the run or its id, or leave it out: inside the block of a run that is the parent",
        )
    over = parent if isinstance(parent, RunRecorder) else current_run() if parent is None else None
    parent_id = over.id if over is not None else parent if isinstance(parent, str) else None
    if over is None:
        backend = _backend(settings or load()[0])
    else:
        experiment = experiment or over.experiment
        # A child writes where its parent does; in a forked process over a connection of its own.
        backend = over._backend if over.is_here else over._backend.again()  # noqa: SLF001
        over = over if over.is_here else None
    try:
        return _started(
            backend, name=name, experiment=experiment or "default", params=params, tags=tags, parent_id=parent_id,
            kind="user", because=because, capture=capture, parent=over,
        )  # fmt: skip
    except BaseException:
        if over is None:
            backend.close()
        raise


def start_run(
    store: Store,
    *,
    experiment: str,
    name: str = "",
    actor: Actor,
    parent: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    kind: RunKind = "user",
    because: str = "",
    capture: Collection[str] | None = None,
    folder: Path | None = None,
) -> RunRecorder:
    """Start a run in a store that is open already, as pipelines do; it stays open.

    ``capture`` says what to note without being asked, of ``environment`` and ``console``; a pipeline's output is kept
    by the pipeline, so its runs note only the environment. ``folder`` (the current one) is where the code lies.
    """
    wanted = capture if capture is not None else EVERYTHING if kind == "user" else ("environment",)
    backend = StoreBackend(store, actor)
    return _started(
        backend, name=name, experiment=experiment, params=params, tags=tags, parent_id=parent, kind=kind,
        because=because, capture=wanted, parent=None, folder=folder,
    )  # fmt: skip


def _started(
    backend: Backend, *, name: str, experiment: str, params: Mapping[str, Any] | None, tags: Mapping[str, Any] | None,
    parent_id: str | None, kind: RunKind, because: str, capture: Collection[str], parent: RunRecorder | None,
    folder: Path | None = None,
) -> RunRecorder:  # fmt: skip
    unknown = sorted(set(capture) - set(EVERYTHING))
    if unknown:
        raise BadName(
            f"there is no {unknown[0]!r} to capture",
            where="capture",
            why="A misspelt word would silently capture nothing.",
            next=f"use {' and '.join(EVERYTHING)}",
        )
    start = StartRun(
        id=backend.ids.new(),
        experiment=experiment,
        name=name,
        kind=kind,
        parent_id=parent_id,
        host=this_host(),
        process=this_process(),
        params=texts_of(params or {}, of="parameter"),
        tags=texts_of(tags or {}, of="tag"),
        because=because,
    )
    return RunRecorder(backend, backend.open(start), capture=capture, parent=parent, folder=folder)


def _backend(settings: Settings) -> Backend:
    if settings.server:
        return ServerBackend(server_at(settings.server, token=settings.token))
    store = open_store(settings)
    # Whoever starts a run here finds those that died here.
    find_lost(store)
    return StoreBackend(store, this_user(), owned=True)
