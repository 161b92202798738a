"""Feature views, asked of a server."""

from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.client.project import answers
from trimtab.features import (
    CompiledView,
    OnlineAnswer,
    OnlineRow,
    RegisteredView,
    ViewList,
    get_view,
    list_views,
    row_with_key,
)
from trimtab.kernel import Conflict, Remote

PAGE = 1000


@answers(get_view)
def _view(server: Remote, name: str, *, version: int | None = None) -> RegisteredView:
    return server.get(RegisteredView, "features", name, "registered", version=version)


@answers(list_views)
def _views(server: Remote, *, after: str = "", limit: int | None = 100) -> Sequence[RegisteredView]:
    found, _ = server.listed(ViewList, "features", limit=limit, page=PAGE, cursor=after or None)
    return [_view(server, view.name, version=view.version) for view in found]


@answers(row_with_key)
def _online(server: Remote, compiled: CompiledView, keys: Mapping[str, Any]) -> OnlineRow:
    found = server.send(
        "POST", OnlineAnswer, "features", compiled.view.name, "online", body={"keys": dict(keys)}, repeat=True
    )
    if found.digest != compiled.digest:
        raise Conflict(
            f"{compiled.view.name} is declared here in another way than the server's",
            where=f"features {compiled.view.name}",
            why=f"The server has {found.view}@{found.version}, {found.digest}; this file declares {compiled.digest}.",
            next="take the file that was applied there, or apply this one there",
        )
    names = compiled.names
    return OnlineRow(
        at=found.at, names=names, values=tuple(found.features[name] for name in names),
        ages_s=tuple(found.ages_s[name] for name in names), request=found.request,
        materialised_at=found.materialised_at,
    )  # fmt: skip
