"""How the server takes the protocol in: one application under /v2, for those who may predict."""

from collections.abc import Sequence

from starlette.types import Scope

from trimtab.kernel import Names, Permission, Route
from trimtab.server import Doors, Face, Mount, Rooms
from trimtab.wire.inference.app import inference_app, parts_of


def face(rooms: Rooms, _doors: Doors, _others: Sequence[Route]) -> Face:
    """Return the protocol over a server's gateway."""
    app = inference_app(rooms.gateway, ids=rooms.store.ids, body_limit=rooms.store.settings.http_body_bytes)
    return Face(mounts=(Mount("/v2", app, Permission.PREDICT, names_in),))


def names_in(scope: Scope) -> Names:
    """Return the endpoint that a request is about; the index tells of all of them, the rest of none."""
    match parts_of(scope):
        case ["models", endpoint, *_]:
            return (endpoint,)
        case ["repository", *_]:
            return None
        case _:
            return ()
