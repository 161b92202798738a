"""All screens together, as the server takes them."""

from collections.abc import Sequence
from urllib.parse import quote

from trimtab.kernel import EACH, Actor, Body, Call, Permission, Route, TrimtabError
from trimtab.server import Doors, Face, NotSignedIn, Rooms
from trimtab.ui.assets import Assets
from trimtab.ui.render import Pages, see_other
from trimtab.ui.screen import Desk
from trimtab.ui.screens import (
    alarms,
    api,
    audit,
    data,
    deciding,
    decisions,
    endpoints,
    evaluation,
    features,
    home,
    kit,
    lineage,
    loop,
    models,
    monitor,
    pipelines,
    refusals,
    runs,
    sign_in,
    version,
)

SCREENS = (
    home.routes, data.routes, features.routes, runs.routes, pipelines.routes, models.routes, version.routes,
    evaluation.routes, deciding.routes, endpoints.routes, loop.routes, monitor.routes, decisions.routes, audit.routes,
    refusals.routes, lineage.routes, alarms.routes, sign_in.routes, kit.routes,
)  # fmt: skip


def face(rooms: Rooms, doors: Doors, others: Sequence[Route]) -> Face:
    """Return the pages of a project, and how a person reads an error."""
    assets = Assets()
    project = rooms.store.settings.home_path.parent.name
    pages = Pages(
        clock=rooms.store.clock, assets=assets, project=project, signs_in=doors.local is None, size=rooms.events
    )
    desk = Desk(rooms, pages, doors)

    async def to_home(_call: Call) -> Body:
        return see_other("/ui")

    def error_page(path: str, error: TrimtabError, status: int) -> Body:
        if isinstance(error, NotSignedIn):
            return see_other(f"{sign_in.AT}?back={quote(path)}")
        return pages.error(Call(actor=Actor("nobody")), error, status=status)

    routes = [route for screen in SCREENS for route in screen(desk)]
    routes += api.routes(desk, others)
    routes.append(assets.route())
    routes.append(
        Route(method="GET", path="/", permission=Permission.PUBLIC, resource=EACH, handler=to_home,
              summary="To the pages")
    )  # fmt: skip
    return Face(routes=routes, error_page=error_page, for_people=is_page)


def is_page(path: str) -> bool:
    """Say whether a path is one for people."""
    return path in {"/", "/ui"} or path.startswith("/ui/")
