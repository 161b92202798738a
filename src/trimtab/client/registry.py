"""Models and versions, asked of a server."""

from collections.abc import Collection, Iterator
from typing import Any

from trimtab.client.project import answers
from trimtab.kernel import Actor, Remote
from trimtab.registry import (
    Approval,
    Model,
    ModelPage,
    SampleRows,
    Version,
    VersionAnswer,
    VersionPage,
    VersionRef,
    aliases,
    all_models,
    all_versions,
    get_model,
    get_version,
    list_models,
    list_versions,
    reject_version,
    sample_rows,
)

PAGE = 500


@answers(get_model)
def _model(server: Remote, name: str) -> Model:
    return server.get(Model, "models", name)


@answers(list_models)
def _models(server: Remote, *, limit: int = 100, cursor: str = "", only: Collection[str] | None = None) -> ModelPage:
    assert only is None, "a server lists what the caller's token may read"
    found, following = server.listed(ModelPage, "models", limit=limit, page=PAGE, cursor=cursor or None)
    return ModelPage(items=tuple(found), next=following)


@answers(all_models)
def _all_models(server: Remote) -> Iterator[Model]:
    yield from server.listed(ModelPage, "models", limit=None, page=PAGE)[0]


@answers(aliases)
def _aliases(server: Remote, model: str) -> dict[str, int]:
    return dict(_model(server, model).aliases)


@answers(get_version)
def _version(server: Remote, ref: VersionRef | Version | str) -> Version:
    return server.get(VersionAnswer, *_path(ref)).version


@answers(list_versions)
def _versions(server: Remote, model: str, *, limit: int = 100, before: int | None = None) -> VersionPage:
    cursor = None if before is None else str(before)
    found, following = server.listed(VersionPage, "models", model, "versions", limit=limit, page=PAGE, cursor=cursor)
    return VersionPage(items=tuple(found), next=following)


@answers(all_versions)
def _all_versions(server: Remote, model: str) -> Iterator[Version]:
    yield from server.listed(VersionPage, "models", model, "versions", limit=None, page=PAGE)[0]


@answers(sample_rows)
def _sample(server: Remote, ref: VersionRef | Version | str, *, limit: int = 1) -> list[dict[str, Any]]:
    return server.get(SampleRows, *_path(ref), "sample", limit=limit).items


@answers(reject_version)
def _reject(server: Remote, ref: VersionRef | Version | str, *, actor: Actor, because: str) -> Approval:
    return server.send("POST", Approval, *_path(ref), "reject", body={"because": because})


def _path(ref: VersionRef | Version | str) -> tuple[object, ...]:
    """Return where a version is found; an alias stands in its place like a number."""
    found = VersionRef.of(ref)
    return "models", found.model, "versions", found.version or found.alias
