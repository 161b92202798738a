"""The Open Inference Protocol v2 over HTTP, as a raw ASGI application: nothing between the socket and the gateway."""

import logging
import zlib
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from trimtab.kernel import Conflict, Ids, Invalid, NotFound, Refused, TrimtabError, Unavailable
from trimtab.serving import Answer, DeadlinePassed, Gateway, Output, OutputProblem
from trimtab.wire.inference.describe import model_metadata, repository, server_metadata
from trimtab.wire.inference.records import InferRequest, InferResponse, OutputTensor, Parameters, Problem
from trimtab.wire.inference.tensors import asked, output_tensor

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answered = tuple[int, bytes, list[tuple[bytes, bytes]]]

BODY_LIMIT = 32 << 20
IDS_IN_HEADER = 64
MOST_DIGITS = 18
VALUES_LIMIT = 2_000_000
OBJECTS_LIMIT = 100_000
"""How much JSON is decoded for one request. It is done on the event loop, where nobody else is answered meanwhile."""
_JSON = (b"content-type", b"application/json")
_log = logging.getLogger("trimtab.wire.inference")
_request_decoder = msgspec.json.Decoder(InferRequest)
_encode = msgspec.json.Encoder().encode


class BodyTooLarge(Invalid):
    """The body is longer than this server takes."""

    code = "inference.body-too-large"
    default_why = "A request takes at most {limit} bytes."
    default_next = "send the rows in parts, or as binary tensors"


class BadBody(Invalid):
    """The body is not a request of the protocol."""

    code = "inference.body"


class _HungUp(Exception):
    """Whoever asked has gone before the whole body was here: nobody waits for an answer, and none is made."""


class NoSuchOperation(NotFound):
    """The protocol has no such operation."""

    code = "inference.no-such-operation"
    default_why = "The Open Inference Protocol v2 has other paths."
    default_next = "GET /v2, or POST /v2/models/MODEL/infer"


_STATUS: tuple[tuple[type[TrimtabError], int], ...] = (
    (BodyTooLarge, 413), (NotFound, 404), (Conflict, 409), (Invalid, 400), (Refused, 403), (DeadlinePassed, 504),
    (Unavailable, 503),
)  # fmt: skip


def inference_app(gateway: Gateway, *, ids: Ids, body_limit: int = BODY_LIMIT) -> App:
    """Return the application that answers /v2 and everything below it, mounted anywhere.

    It asks for no token: whoever mounts it lets only callers in that may predict. Run by itself, it starts and stops
    the gateway with the server.
    """
    protocol = _Protocol(gateway, ids, body_limit)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await protocol.serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(gateway, receive, send)

    return app


class _Protocol:
    def __init__(self, gateway: Gateway, ids: Ids, body_limit: int) -> None:
        self._gateway = gateway
        self._ids = ids
        self._limit = body_limit

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body, headers = await self._answer(scope, receive)
        except TrimtabError as error:
            status, body, headers = problem(error)
        except _HungUp:
            return
        except Exception as fault:  # noqa: BLE001  # the edge: a fault of ours must not take the server with it
            status, body, headers = self._fault(fault)
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answered:
        parts, method = parts_of(scope), scope["method"]
        match parts:
            case ["models", endpoint, "infer"] if method == "POST":
                return await self._infer(scope, receive, endpoint, None)
            case ["models", endpoint, "versions", number, "infer"] if method == "POST":
                return await self._infer(scope, receive, endpoint, _version(number))
            case ["repository", "index"] if method == "POST":
                return _json(repository(self._gateway))
        found = self._described(parts) if method in ("GET", "HEAD") else None
        if found is None:
            raise NoSuchOperation(f"there is no {method} {scope['path'][:200]}", where="request")
        return found

    def _described(self, parts: list[str]) -> Answered | None:
        """Answer a question about the server or a model; None when there is no such question."""
        match parts:
            case []:
                return _json(server_metadata())
            case ["health", "live"]:
                return _json({"live": True})
            case ["health", "ready"]:
                ready = self._gateway.started
                return _json({"ready": ready}, 200 if ready else 503)
            case ["models", endpoint]:
                return _json(model_metadata(self._gateway, endpoint, None))
            case ["models", endpoint, "versions", number]:
                return _json(model_metadata(self._gateway, endpoint, _version(number)))
            case ["models", endpoint, "ready"]:
                return self._ready(endpoint, None)
            case ["models", endpoint, "versions", number, "ready"]:
                return self._ready(endpoint, _version(number))
            case _:
                return None

    def _ready(self, endpoint: str, version: int | None) -> Answered:
        target = self._gateway.check_ready(endpoint, version)
        return _json({"name": endpoint, "version": str(target.version), "ready": True})

    async def _infer(self, scope: Scope, receive: Receive, endpoint: str, version: int | None) -> Answered:
        length, encoding = None, b""
        for name, value in scope["headers"]:
            if name == b"inference-header-content-length":
                length = value
            elif name == b"content-encoding":
                encoding = value
        body = await _read(receive, self._limit)
        if encoding and encoding != b"identity":
            body = _unpacked(body, encoding, self._limit)
        request, binary = _decoded(body, length)
        for one in request.outputs:  # before the decision is made, not after
            _output_named(one.name, self._gateway.target(endpoint, version).loaded.runtime.outputs)
        answer = await self._gateway.infer(endpoint, asked(request.inputs, binary, version=version, id=request.id))
        return _answered(endpoint, request, answer)

    def _fault(self, fault: Exception) -> Answered:
        id_ = self._ids.new()
        _log.error("fault %s", id_, exc_info=fault)
        what = f"Trimtab made a mistake; it is in the server's log as {id_}"
        next_ = f"look for {id_} in the server's log, and report it"
        return _json(Problem(what, "fault", what, "inference", "This is a fault of the program.", next_), 500)


def parts_of(scope: Scope) -> list[str]:
    """Return the words of a request's path below /v2. Who may ask is decided by the same words."""
    path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/v2").strip("/")
    return path.split("/") if path else []


def _answered(endpoint: str, request: InferRequest, answer: Answer) -> Answered:
    outputs, tail = _outputs(request, answer)
    joined = ",".join(answer.decision_ids)
    parameters: Parameters = {"decision_ids": joined}
    if answer.versions is not None:
        parameters["decision_versions"] = ",".join(map(str, answer.versions))
    body = _encode(
        InferResponse(
            model_name=endpoint,
            model_version=str(answer.version),
            parameters=parameters,
            outputs=outputs,
            id=request.id,
        )
    )
    headers: list[tuple[bytes, bytes]] = []
    if len(answer.decision_ids) <= IDS_IN_HEADER:
        headers.append((b"trimtab-decision-ids", joined.encode()))
    if not tail:
        headers.append(_JSON)
        return 200, body, headers
    headers.append((b"content-type", b"application/octet-stream"))
    headers.append((b"inference-header-content-length", str(len(body)).encode()))
    return 200, body + tail, headers


def _outputs(request: InferRequest, answer: Answer) -> tuple[list[OutputTensor], bytes]:
    everything_binary = request.parameters.get("binary_data_output") is True
    if request.outputs:
        wanted = [
            (_output_named(one.name, answer.form), one.parameters.get("binary_data", everything_binary) is True)
            for one in request.outputs
        ]
    else:
        wanted = [(output, everything_binary) for output in answer.form]
    tensors, tails = [], []
    for output, binary in wanted:
        tensor, tail = output_tensor(output, answer.outputs[output.name], binary=binary)
        tensors.append(tensor)
        tails.append(tail)
    return tensors, b"".join(tails)


def _output_named(name: str, known: Sequence[Output]) -> Output:
    found = next((output for output in known if output.name == name), None)
    if found is None:
        raise OutputProblem(
            f"there is no output {name[:100]!r}", where="outputs",
            why=f"The model answers {', '.join(output.name for output in known)}.",
            next="ask for one of these, or name no outputs to get all",
        )  # fmt: skip
    return found


def problem(error: TrimtabError) -> Answered:
    """Return an error in the protocol's form."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    answered = _json(Problem(error=str(error), **error.parts()), status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        answered[2].append((b"retry-after", str(error.data.get("retry_after_s", 1)).encode()))
    return answered


async def _live(gateway: Gateway, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await gateway.start()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await gateway.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _read(receive: Receive, limit: int) -> bytes:
    """Return the whole body; stop reading as soon as it is too long, or when nobody sends the rest."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(body) <= limit:
        return body
    parts, size = [body], len(body)
    while message.get("more_body") and size <= limit:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if message["type"] != "http.request":
        raise _HungUp
    if size > limit:
        raise BodyTooLarge(f"the body has more than {limit} bytes", where="body", limit=limit)
    return b"".join(parts)


def _unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    bits = {b"gzip": 31, b"deflate": 15}.get(encoding)
    if bits is None:
        raise BadBody(
            f"the body is packed as {encoding[:40].decode('latin-1')!r}", where="header Content-Encoding",
            why="Only gzip and deflate are understood.", next="send it as gzip, or as it is",
        )  # fmt: skip
    unpacker = zlib.decompressobj(bits)
    try:
        data, fault = unpacker.decompress(body, limit + 1), ""
    except zlib.error as error:
        data, fault = b"", str(error)
    if len(data) > limit:
        raise BodyTooLarge(f"the body unpacks to more than {limit} bytes", where="body", limit=limit)
    if not unpacker.eof:
        raise BadBody(
            "the body cannot be unpacked", where="body",
            why=f"It says {encoding.decode()}, but: {fault or 'its end is missing'}.",
            next="pack it again, or send it as it is",
        )  # fmt: skip
    return data


def _decoded(body: bytes, length: bytes | None) -> tuple[InferRequest, memoryview]:
    """Split a body into its JSON and its binary part, and decode the JSON."""
    head, tail = memoryview(body), memoryview(b"")
    if length is not None:
        if not _is_number(length) or int(length) > len(body):
            raise BadBody(
                f"Inference-Header-Content-Length is {length[:40].decode('latin-1')!r}",
                where="header Inference-Header-Content-Length",
                why=f"It is the length of the JSON at the start of the body, which has {len(body)} bytes.",
                next="send the length of the JSON",
            )
        head, tail = head[: int(length)], head[int(length) :]
    if body.count(b",", 0, len(head)) > VALUES_LIMIT or body.count(b"{", 0, len(head)) > OBJECTS_LIMIT:
        raise BodyTooLarge(
            "the JSON of the body holds too many values", where="body",
            why=f"A request holds at most {VALUES_LIMIT:,} values in at most {OBJECTS_LIMIT:,} objects as JSON.",
            next="send the rows in parts, or as binary tensors",
        )  # fmt: skip
    try:
        return _request_decoder.decode(head), tail
    except msgspec.ValidationError as error:
        raise BadBody(
            f"the body is not an inference request: {error}", where="body",
            why="A request has inputs, each with name, shape, datatype and data.",
            next='send for example {"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64", "data": [733]}]}',
        ) from None  # fmt: skip
    except RecursionError:
        raise BadBody(
            "the body is nested too deeply", where="body", why="A request is a few levels deep.",
            next="send each tensor's data as one list",
        ) from None  # fmt: skip
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBody(
            "the body is not JSON" if body else "the body is empty", where="body", why=f"{error}.",
            next="send JSON, and with binary tensors the header Inference-Header-Content-Length",
        ) from None  # fmt: skip


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= MOST_DIGITS


def _version(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise NotFound(
            f"{text[:40]!r} is not a version", where="path", why="Versions are whole numbers.",
            next="GET /v2/models/MODEL",
        )  # fmt: skip
    return int(text)


def _json(value: Any, status: int = 200) -> Answered:
    return status, _encode(value), [_JSON]
