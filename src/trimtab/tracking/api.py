"""The HTTP routes of tracking: experiments, runs, what they log, their files, and search."""

from typing import Any
from urllib.parse import quote

import msgspec

from trimtab.kernel import (
    CURSOR,
    EACH,
    Body,
    Call,
    Invalid,
    Permission,
    Query,
    Resource,
    Route,
    in_body,
    in_path,
    in_query,
    limit_query,
)
from trimtab.store import Store
from trimtab.tracking.journal import log_artifact, log_batch, log_model
from trimtab.tracking.keeping import media_type_of
from trimtab.tracking.reading import (
    POINTS_LIMIT,
    find_artifact,
    get_artifact,
    get_metric,
    get_run,
    list_artifacts,
    list_experiments,
    list_models,
    read_artifact,
    read_console,
)
from trimtab.tracking.records import (
    Artifact,
    Batch,
    Experiment,
    FinishRun,
    LoggedModel,
    PointPage,
    Run,
    RunPage,
    StartRun,
)
from trimtab.tracking.runs import close_run, open_run, resume_run, tag_run
from trimtab.tracking.search import LIMIT, search_runs

ARTIFACT_LIMIT_BYTES = 1 << 30
BATCH_LIMIT_BYTES = 64 << 20
LARGEST_PAGE = 1_000
_SHOWN = frozenset({"text/plain", "application/json", "image/png", "image/jpeg", "image/gif", "image/webp"})
"""Types that a browser may show. Anything else, HTML and SVG above all, is only for saving."""

_LISTED = (
    Query(name="filter", meaning="Only runs for which this holds: `metrics.auc > 0.7 and params.trees = '120'`."),
    Query(name="order_by", meaning="What to sort by, separated by commas: `metrics.auc desc, started_at`."),
    Query(name="experiment", meaning="Only runs of this experiment."),
    limit_query(LIMIT, most=LARGEST_PAGE), CURSOR,
)  # fmt: skip
_KEY = Query(name="key", meaning="The metric's name.", required=True)
_NAME = Query(name="name", meaning="The file's name within the run, with / between folders.", required=True)
_TYPE = Query(name="type", meaning="Its media type; without it what the name's ending says.")


class Experiments(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Experiment, ...]
    next: str | None = None


class Artifacts(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Artifact, ...]
    next: str | None = None


class Models(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[LoggedModel, ...]
    next: str | None = None


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search: see ``trimtab.tracking.filter`` for the language."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    experiment: str | None = None
    limit: int = LIMIT
    cursor: str | None = None


class Tags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags to set; an empty value removes one."""

    tags: dict[str, str]
    because: str = ""


class Nothing(msgspec.Struct, frozen=True):
    """An answer that says only that it was done."""


def routes(store: Store) -> list[Route]:
    """Return the routes of this room."""
    return [*_reading(store), *_writing(store), *_files(store)]


def _of_run(store: Store) -> Resource:
    """Return that a request is about the experiment of the run which its path names."""
    return in_path("id", lambda run: get_run(store, run).experiment)


def _reading(store: Store) -> list[Route]:
    def experiments(call: Call) -> Experiments:
        return Experiments(items=tuple(one for one in list_experiments(store) if call.shows(one.name)))

    def listed(call: Call) -> RunPage:
        query = call.query
        order = tuple(part.strip() for part in query.get("order_by", "").split(",") if part.strip())
        return search_runs(
            store, query.get("filter", ""), order_by=order, experiment=query.get("experiment"),
            limit=_whole(call, "limit", LIMIT, most=LARGEST_PAGE), cursor=query.get("cursor"),
        )  # fmt: skip

    def search(_call: Call, asked: Search) -> RunPage:
        limit = min(asked.limit, LARGEST_PAGE)
        return search_runs(
            store, asked.filter, order_by=asked.order_by, experiment=asked.experiment, limit=limit,
            cursor=asked.cursor,
        )  # fmt: skip

    def get(call: Call) -> Run:
        return get_run(store, call.path["id"])

    def points(call: Call) -> PointPage:
        get_run(store, call.path["id"])
        limit = _whole(call, "limit", POINTS_LIMIT, most=POINTS_LIMIT)
        return get_metric(
            store, call.path["id"], call.query.get("key", ""), limit=limit, cursor=call.query.get("cursor")
        )

    read, of_run = Permission.READ, _of_run(store)
    return [
        Route(method="GET", path="/api/v1/experiments", permission=read, resource=EACH,
              handler=experiments, response=Experiments,
              summary="List experiments by name"),
        Route(method="GET", path="/api/v1/runs", permission=read, resource=in_query("experiment"),
              handler=listed, response=RunPage,
              query=_LISTED, summary="List runs, newest first, or as asked for"),
        Route(method="POST", path="/api/v1/runs/search", permission=read, resource=in_body("experiment"),
              handler=search, request=Search,
              response=RunPage, summary="Search runs with a filter too long for an address"),
        Route(method="GET", path="/api/v1/runs/{id}", permission=read, resource=of_run, handler=get, response=Run,
              summary="Show one run"),
        Route(method="GET", path="/api/v1/runs/{id}/points", permission=read, resource=of_run,
              handler=points, response=PointPage,
              query=(_KEY, limit_query(POINTS_LIMIT, most=POINTS_LIMIT), CURSOR),
              summary="List the points of one metric"),
    ]  # fmt: skip


def _writing(store: Store) -> list[Route]:
    def start(call: Call, asked: StartRun) -> Run:
        return open_run(store, msgspec.structs.replace(asked, because=call.because), actor=call.actor)

    def log(call: Call, batch: Batch) -> Nothing:
        log_batch(store, call.path["id"], batch)
        return Nothing()

    def finish(call: Call, asked: FinishRun) -> Run:
        asked = msgspec.structs.replace(asked, because=call.because)
        return close_run(store, call.path["id"], asked, actor=call.actor)

    def resume(call: Call, _asked: Nothing) -> Run:
        return resume_run(store, call.path["id"], actor=call.actor, because=call.because)

    def tag(call: Call, asked: Tags) -> Run:
        return tag_run(store, call.path["id"], asked.tags, actor=call.actor, because=call.because)

    def model(call: Call, asked: LoggedModel) -> Nothing:
        log_model(store, call.path["id"], asked)
        return Nothing()

    write, of_run = Permission.LOG, _of_run(store)
    return [
        Route(method="POST", path="/api/v1/runs", permission=write, resource=in_body("experiment"),
              handler=start, request=StartRun, response=Run,
              summary="Start a run", status=201),
        Route(method="POST", path="/api/v1/runs/{id}/log", permission=write, resource=of_run,
              handler=log, request=Batch,
              response=Nothing, summary="Log parameters, metrics, tags and output", limit_bytes=BATCH_LIMIT_BYTES),
        Route(method="POST", path="/api/v1/runs/{id}/finish", permission=write, resource=of_run,
              handler=finish, request=FinishRun,
              response=Run, summary="End a run and seal what it logged"),
        Route(method="POST", path="/api/v1/runs/{id}/resume", permission=write, resource=of_run,
              handler=resume, request=Nothing,
              response=Run, summary="Let a run that has ended go on"),
        Route(method="POST", path="/api/v1/runs/{id}/tags", permission=write, resource=of_run,
              handler=tag, request=Tags, response=Run,
              summary="Set or remove tags, also of a run that has ended"),
        Route(method="POST", path="/api/v1/runs/{id}/models", permission=write, resource=of_run,
              handler=model, request=LoggedModel,
              response=Nothing, summary="Add a model whose files the run has"),
    ]  # fmt: skip


def _files(store: Store) -> list[Route]:
    def put(call: Call, data: bytes) -> Artifact:
        name = call.query.get("name", "")
        media_type = call.query.get("type") or media_type_of(name)
        return log_artifact(store, call.path["id"], name, data, media_type=media_type)

    def listed(call: Call) -> Artifacts:
        get_run(store, call.path["id"])
        return Artifacts(items=tuple(list_artifacts(store, call.path["id"])))

    def models(call: Call) -> Models:
        get_run(store, call.path["id"])
        return Models(items=tuple(list_models(store, call.path["id"])))

    def console(call: Call) -> Body:
        get_run(store, call.path["id"])
        return Body(data=read_console(store, call.path["id"]).encode(), media_type="text/plain", headers=_SAFE)

    def download(call: Call) -> Body:
        return _file(store, get_artifact(store, call.path["id"]))

    def by_name(call: Call) -> Body:
        return _file(store, find_artifact(store, call.path["id"], call.query.get("name", "")))

    read, of_run = Permission.READ, _of_run(store)
    of_artifact = in_path("id", lambda file: get_run(store, get_artifact(store, file).run_id).experiment)
    return [
        Route(method="POST", path="/api/v1/runs/{id}/artifacts", permission=Permission.LOG, resource=of_run,
              handler=put,
              request=bytes, response=Artifact, query=(_NAME, _TYPE),
              summary="Keep a file of a run: its bytes as the body", limit_bytes=ARTIFACT_LIMIT_BYTES, status=201),
        Route(method="GET", path="/api/v1/runs/{id}/artifacts", permission=read, resource=of_run,
              handler=listed, response=Artifacts,
              summary="List a run's files by name"),
        Route(method="GET", path="/api/v1/runs/{id}/file", permission=read, resource=of_run, handler=by_name,
              query=(_NAME,), summary="Download a run's file by its name"),
        Route(method="GET", path="/api/v1/runs/{id}/models", permission=read, resource=of_run,
              handler=models, response=Models,
              summary="List the models that a run has logged"),
        Route(method="GET", path="/api/v1/runs/{id}/console", permission=read, resource=of_run, handler=console,
              summary="Show what a run has printed"),
        Route(method="GET", path="/api/v1/artifacts/{id}", permission=read, resource=of_artifact, handler=download,
              summary="Download a file by its id"),
    ]  # fmt: skip


_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


def _file(store: Store, artifact: Artifact) -> Body:
    """Answer with bytes that somebody logged: whatever they are, they must not run in a reader's browser."""
    shown = artifact.media_type.partition(";")[0].strip().lower() in _SHOWN
    name = quote(artifact.name.rpartition("/")[2], safe="")
    return Body(
        data=read_artifact(store, artifact),
        media_type=artifact.media_type if shown else "application/octet-stream",
        headers={
            **_SAFE,
            "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{name}",
            "ETag": f'"{artifact.digest}"',
        },
    )


def _whole(call: Call, name: str, default: int, *, most: int) -> int:
    text: Any = call.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
        raise Invalid(
            f"{text[:40]!r} is not a whole number from 1 to {most}",
            where=f"query {name}",
            why=f"{name} says how many are returned.",
            next=f"leave it out, or write ?{name}={default}",
        )
    return int(text)
