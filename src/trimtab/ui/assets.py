"""The style sheets, scripts and pictures: read once, named by their content, kept by browsers for ever."""

import gzip
import hashlib
from importlib.resources import files

from trimtab.kernel import EACH, Body, Call, NotFound, Permission, Route

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Assets:
    """Every file of the folder ``static``, behind one path that changes when any of them does."""

    def __init__(self) -> None:
        self._files = {
            item.name: item.read_bytes()
            for item in sorted(files("trimtab.ui").joinpath("static").iterdir(), key=lambda item: item.name)
            if item.name.rpartition(".")[2] in TYPES
        }
        digest = hashlib.sha256(b"".join(name.encode() + data for name, data in self._files.items()))
        self._version = digest.hexdigest()[:12]
        self._packed = {name: gzip.compress(data, compresslevel=9, mtime=0) for name, data in self._files.items()}

    def url(self, name: str) -> str:
        """Return the address of a file; raise ``KeyError`` for one that is not there."""
        if name not in self._files:
            raise KeyError(name)
        return f"/ui/static/{self._version}/{name}"

    def route(self) -> Route:
        async def asset(call: Call) -> Body:
            name = call.path["name"]
            if name not in self._files:
                raise NotFound(
                    f"there is no file {name[:100]!r}",
                    where="/ui/static",
                    why="The pages use only what came with them.",
                    next="reload the page",
                )
            # Scripts import each other by relative names, so the version is a folder and not a parameter.
            keep = "public, max-age=31536000, immutable" if call.path["version"] == self._version else "no-store"
            headers = {"cache-control": keep, "vary": "accept-encoding", "x-content-type-options": "nosniff"}
            data = self._files[name]
            if "gzip" in call.headers.get("accept-encoding", ""):
                data, headers["content-encoding"] = self._packed[name], "gzip"
            return Body(data=data, media_type=TYPES[name.rpartition(".")[2]], headers=headers)

        return Route(
            method="GET", path="/ui/static/{version}/{name}", permission=Permission.PUBLIC, resource=EACH,
            handler=asset,
            summary="A style sheet, script or picture",
        )  # fmt: skip
