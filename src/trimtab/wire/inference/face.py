"""How the server takes the protocol in: one application under /v2, for those who may predict."""

from collections.abc import Sequence

from trimtab.kernel import Permission, Route
from trimtab.server import Doors, Face, Mount, Rooms
from trimtab.wire.inference.app import inference_app


def face(rooms: Rooms, _doors: Doors, _others: Sequence[Route]) -> Face:
    """Return the protocol over a server's gateway."""
    app = inference_app(rooms.gateway, ids=rooms.store.ids)
    return Face(mounts=(Mount("/v2", app, Permission.PREDICT),))
