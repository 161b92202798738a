"""Turn what a handler returned or raised into an HTTP answer."""

import gzip
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from trimtab.kernel import Body, Conflict, Ids, Invalid, NotFound, Refused, TrimtabError, Unavailable
from trimtab.server.errors import NotSignedIn, TooLarge, TooManyFailures, WrongMethod
from trimtab.store import Receipt

log = logging.getLogger("trimtab.server")

STATUS: dict[type[TrimtabError], int] = {
    NotSignedIn: 401,
    WrongMethod: 405,
    TooLarge: 413,
    TooManyFailures: 429,
    NotFound: 404,
    Conflict: 409,
    Invalid: 400,
    Refused: 403,
    Unavailable: 503,
}
"""The one place where errors become statuses; an error takes that of its nearest ancestor here."""

COMPRESSED_FROM_BYTES = 1400
_TEXT = ("text/", "application/json", "application/javascript", "image/svg")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Every error answer. ``error`` is the whole in one sentence, as the Open Inference Protocol wants it."""

    error: str
    code: str
    what: str
    where: str
    why: str
    next: str


def status_of(error: TrimtabError) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def failure_of(error: TrimtabError) -> Failure:
    return Failure(error=str(error), **error.parts())


def error_answer(error: TrimtabError, *, page: Callable[[TrimtabError, int], Body] | None = None) -> Response:
    """Answer a caller's mistake with its four parts; ``page`` tells them to a person instead of a program."""
    status = status_of(error)
    if page is not None:
        body = page(error, status)
        return Response(body.data, status_code=body.status, headers=dict(body.headers), media_type=body.media_type)
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if isinstance(error, WrongMethod):
        headers["allow"] = str(error.data.get("allowed", ""))
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.data.get("wait_s", 1))
    return json_answer(failure_of(error), status=status, headers=headers)


class Fault(TrimtabError):
    """A mistake of ours."""

    code = "fault"
    default_why = "This is a fault of the program, not of the request."
    default_next = "look for {id} in the server's log (trimtab logs server), and report it"


def fault_of(ids: Ids, *, route: str, fault: Exception) -> Fault:
    """Tell a mistake of ours: an id for the person, the stack trace for the log, and nothing of it for the wire."""
    id_ = ids.new()
    log.error("fault %s in %s", id_, route, exc_info=fault)
    return Fault("Trimtab made a mistake", where=route, id=id_)


def json_answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        headers={"cache-control": "no-store"} | dict(headers or {}),
        media_type="application/json",
    )


def answer_of(result: Any, *, status: int, receipt: Receipt | None, asked: Headers) -> Response:
    """Encode a handler's result, with the receipt of what it changed, compressed when that is worth it."""
    if isinstance(result, Response):
        response = result
    elif isinstance(result, Body):
        response = Response(
            result.data, status_code=result.status, headers=dict(result.headers), media_type=result.media_type
        )
    elif result is None:
        response = Response(status_code=204 if status == 200 else status)
    else:
        response = json_answer(result, status=status)
    if receipt is not None:
        response.headers["trimtab-position"] = str(receipt.position)
        if receipt.checkpoint:
            # A checkpoint is lines of text with a dash beyond ASCII; a header is one line of ASCII.
            response.headers["trimtab-checkpoint"] = quote(receipt.checkpoint)
            response.headers["trimtab-key"] = quote(receipt.key, safe="+/=")
    if not isinstance(result, Response):
        _compress(response, asked)
    return response


def _compress(response: Response, asked: Headers) -> None:
    body = bytes(response.body)
    if (
        len(body) < COMPRESSED_FROM_BYTES
        or "content-encoding" in response.headers
        or not response.headers.get("content-type", "").startswith(_TEXT)
    ):
        return
    response.headers["vary"] = "accept-encoding"
    if "gzip" in asked.get("accept-encoding", ""):
        response.body = gzip.compress(body, compresslevel=4, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
