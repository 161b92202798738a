"""Hold an ONNX model to itself: nothing beside it is read when it runs, and nothing in it is out of proportion.

Whoever approves a model approves its bytes. A tensor whose values lie in another file, or an operator whose code comes
from elsewhere, would make the same bytes answer differently. Every message of the file is looked at, whatever it is
part of: graphs, subgraphs, functions, attributes, sparse tensors, training steps.
"""

import math
from collections.abc import Iterator
from typing import Any

from trimtab.kernel import MissingExtra
from trimtab.tracking.errors import Unsound

GRAPH_LIMIT_BYTES = 1 << 30
"""Bytes that a file may have; beyond 2 GiB ONNX itself needs other files."""
TENSORS_LIMIT_BYTES = 2 << 30
"""Bytes that all tensors of a file may declare together."""
NESTING_LIMIT = 48
"""Messages within messages: a graph within a graph takes three, so some fifteen of those."""
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_REFERENCES = frozenset({"external_data", "data_location"})
_LARGEST_VALUE_BYTES = 16


def check_graph(data: bytes, *, where: str) -> None:
    """Raise ``Unsound`` for an ONNX model that needs more than its own bytes, and ``MissingExtra`` without onnx.

    ``where`` names who asks, for the error of a missing package.
    """
    model = _read(data, where=where)
    own = {(function.domain, function.name) for function in model.functions}
    domains = _DOMAINS | {domain for domain, _name in own}
    for opset in model.opset_import:
        if opset.domain not in domains:
            raise Unsound(f"it needs operators of {opset.domain!r}, whose code lies elsewhere")
    declared = 0
    for message, fields in _messages(model):
        if any(value for field, value in fields if field.name in _REFERENCES):
            raise Unsound(f"the values of {getattr(message, 'name', '')[:80] or 'a tensor'!r} lie in another file")
        declared += _declared_bytes(message)
        if declared > TENSORS_LIMIT_BYTES:
            raise Unsound(f"its tensors declare more than {TENSORS_LIMIT_BYTES >> 30} GiB")
        is_node = type(message).__name__ == "NodeProto"
        if is_node and message.domain not in _DOMAINS and (message.domain, message.op_type) not in own:
            raise Unsound(f"it calls {message.op_type!r} of {message.domain!r}, whose code lies elsewhere")


def _read(data: bytes, *, where: str) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MissingExtra("an ONNX model cannot be checked", where=where, package="onnx", extra="onnx") from None
    if len(data) > GRAPH_LIMIT_BYTES:
        raise Unsound(f"it has {len(data):,} bytes, and may have {GRAPH_LIMIT_BYTES:,}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise Unsound("it is no ONNX model") from None
    if not model.HasField("graph"):
        raise Unsound("it holds no graph")
    return model


def _messages(model: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yield every message with its fields, the outer before the inner. Raise ``Unsound`` for one too deep."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    todo = [(model, 0)]
    while todo:
        message, depth = todo.pop()
        if depth > NESTING_LIMIT:
            raise Unsound(f"it is nested deeper than {NESTING_LIMIT} messages")
        # What the installed onnx does not know it cannot check, and the runtime may know it.
        if len(UnknownFieldSet(message)):
            raise Unsound(f"its {type(message).__name__} has a field that the installed onnx does not know")
        fields = message.ListFields()
        yield message, fields
        for field, value in fields:
            if field.message_type is not None:
                inner = value if _is_repeated(value) else [value]
                todo.extend((one, depth + 1) for one in inner)


def _is_repeated(value: Any) -> bool:
    return not hasattr(value, "ListFields")


def _declared_bytes(message: Any) -> int:
    """Return how many bytes a tensor says that it has; 0 for what is no tensor."""
    match type(message).__name__:
        case "TensorProto":
            value_bytes = _value_bytes(message.data_type)
        case "SparseTensorProto":
            value_bytes = _LARGEST_VALUE_BYTES
        case _:
            return 0
    if any(size < 0 for size in message.dims):
        raise Unsound("a tensor of it has a negative size")
    return int(math.prod(message.dims)) * value_bytes


def _value_bytes(data_type: int) -> int:
    """Return how many bytes a value takes; of a type without a size of its own, the most that any takes."""
    from onnx import helper

    try:
        return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize) or _LARGEST_VALUE_BYTES
    except (KeyError, TypeError, ValueError):
        return _LARGEST_VALUE_BYTES
