"""Tensors as they travel, JSON or binary, to columns of plain values and back."""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.kernel import Invalid
from trimtab.serving import ROWS_LIMIT, Ask, Output
from trimtab.wire.inference.records import InputTensor, OutputTensor

NUMPY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"), "INT8": np.dtype("i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"), "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
}  # fmt: skip
_floats = msgspec.json.Decoder(list[float | None])
_ints = msgspec.json.Decoder(list[int | None])
_bools = msgspec.json.Decoder(list[bool | None])
_texts = msgspec.json.Decoder(list[str | None])
_nested: dict[int, msgspec.json.Decoder[Any]] = {
    id(_floats): msgspec.json.Decoder(list[list[float | None]]),
    id(_ints): msgspec.json.Decoder(list[list[int | None]]),
    id(_bools): msgspec.json.Decoder(list[list[bool | None]]),
    id(_texts): msgspec.json.Decoder(list[list[str | None]]),
}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: _texts if name == "BYTES" else _bools if name == "BOOL" else _floats if name.startswith("FP") else _ints
    for name in ("BYTES", *NUMPY)
}
_LIMITS = {name: np.iinfo(dtype) for name, dtype in NUMPY.items() if dtype.kind in "iu"}
SIDES_SHOWN = 8
_LENGTH = struct.Struct("<I")


class TensorProblem(Invalid):
    """A tensor is not what its name, shape and datatype say."""

    code = "inference.tensor"


def asked(inputs: Sequence[InputTensor], binary: memoryview, *, version: int | None, id: str) -> Ask:
    """Return what a request asks; ``binary`` is what follows its JSON. Raises ``Invalid`` for a tensor that is none.

    One tensor of two dimensions holds all columns of the model at once; else each is a column, [n] or [n, 1].
    """
    for tensor in inputs:
        _check_rows(tensor)  # before anything is decoded
    if len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[1] > 1:
        tensor = inputs[0]
        values, rest = _values(tensor, binary)
        _check_used(rest)
        if tensor.datatype in ("BYTES", "BOOL"):
            raise TensorProblem(
                f"{tensor.name} is a matrix of {tensor.datatype}", where=f"inputs: {tensor.name}",
                why="All columns at once can only be sent as numbers.", next="send one tensor for each column",
            )  # fmt: skip
        return Ask(matrix=_matrix(tensor, values), version=version, id=id)
    columns: dict[str, Sequence[Any]] = {}
    for tensor in inputs:
        shape = tensor.shape
        if len(shape) != 1 and not (len(shape) == 2 and shape[1] == 1):
            raise TensorProblem(
                f"{tensor.name[:100]} has the shape {_shown(shape)}", where=f"inputs: {tensor.name[:100]}",
                why="A column has one value for each row.",
                next=f"send {tensor.name[:100]} with the shape [rows] or [rows, 1]",
            )  # fmt: skip
        if tensor.name in columns:
            raise TensorProblem(
                f"{tensor.name} is sent twice", where=f"inputs: {tensor.name}",
                why="Whichever was taken, the caller might have meant the other.", next=f"send {tensor.name} once",
            )  # fmt: skip
        values, binary = _values(tensor, binary)
        columns[tensor.name] = values if isinstance(values, list) else values.tolist()
    _check_used(binary)
    return Ask(columns=columns, version=version, id=id)


def output_tensor(output: Output, values: list[Any], *, binary: bool) -> tuple[OutputTensor, bytes]:
    """Return an output as it is sent, and the bytes that follow the JSON for it (none for a JSON tensor)."""
    shape = [len(values), *output.shape]
    flat = [item for row in values for item in row] if output.shape else values
    if not binary:
        return OutputTensor(name=output.name, shape=shape, datatype=output.datatype, data=flat), b""
    if output.datatype == "BYTES":
        texts = [str(value).encode() for value in flat]
        data = b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    else:
        data = np.array(flat, dtype=NUMPY[output.datatype]).tobytes()
    about: dict[str, str | float | bool | None] = {"binary_data_size": len(data)}
    return OutputTensor(name=output.name, shape=shape, datatype=output.datatype, parameters=about), data


def _values(tensor: InputTensor, binary: memoryview) -> tuple[list[Any] | NDArray[Any], memoryview]:
    """Return a tensor's values, and what is left of the binary part."""
    if tensor.datatype != "BYTES" and tensor.datatype not in NUMPY:
        raise TensorProblem(
            f"{tensor.name} has the datatype {tensor.datatype[:40]!r}", where=f"inputs: {tensor.name}",
            why="It is not one that this server takes.", next=f"use one of: BYTES, {', '.join(NUMPY)}",
        )  # fmt: skip
    if tensor.shape and min(tensor.shape) < 0:
        raise TensorProblem(
            f"{tensor.name} has the shape {tensor.shape}", where=f"inputs: {tensor.name}",
            why="A request names the number of its rows; -1 stands in descriptions only.", next="send the actual shape",
        )  # fmt: skip
    size = 1
    for side in tensor.shape:
        size *= side
    length = tensor.parameters.get("binary_data_size")
    if length is None:
        return _from_json(tensor, size), binary
    if type(length) is not int or not 0 <= length <= len(binary):
        raise _wrong_size(tensor, f"{length} bytes are announced and {len(binary)} are left")
    part, rest = binary[:length], binary[length:]
    if tensor.datatype == "BYTES":
        return _texts_in(tensor, part, size), rest
    dtype = NUMPY[tensor.datatype]
    if length != size * dtype.itemsize:
        raise _wrong_size(tensor, f"{length} bytes are not {size} values of {tensor.datatype}")
    return np.frombuffer(part, dtype), rest


def _from_json(tensor: InputTensor, size: int) -> list[Any] | NDArray[Any]:
    raw = bytes(tensor.data)
    if not raw:
        raise _wrong_size(tensor, "it has neither data nor binary_data_size")
    decoder = _DECODERS[tensor.datatype]
    try:
        values: list[Any] = _decoded(decoder, raw, nested=len(tensor.shape) > 1)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TensorProblem(
            f"{tensor.name} does not hold {tensor.datatype}", where=f"inputs: {tensor.name}", why=f"{error}.",
            next=f"send {tensor.name} as a list of {tensor.datatype}, with null for a value that is not known",
        ) from None  # fmt: skip
    if len(values) != size:
        raise _wrong_size(tensor, f"it has {len(values)} values and the shape {tensor.shape}")
    if decoder is _ints:
        _check_range(tensor, values)
    elif tensor.datatype in ("FP32", "FP16"):
        # The value is what the datatype can hold of the text, whichever way it travels; null becomes NaN.
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
            return np.array(values, dtype=np.float64).astype(NUMPY[tensor.datatype])
    return values


def _decoded(decoder: msgspec.json.Decoder[Any], raw: bytes, *, nested: bool) -> list[Any]:
    if not nested:
        return decoder.decode(raw)  # type: ignore[no-any-return]
    try:
        return decoder.decode(raw)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        return [value for row in _nested[id(decoder)].decode(raw) for value in row]


def _matrix(tensor: InputTensor, values: list[Any] | NDArray[Any]) -> NDArray[Any]:
    dtype = NUMPY[tensor.datatype]
    if isinstance(values, list) and None in values:
        dtype = np.dtype(np.float64)  # only a float can say that a value is missing
    return np.array(values, dtype=dtype).reshape(tensor.shape)


def _texts_in(tensor: InputTensor, data: memoryview, size: int) -> list[str]:
    texts, at = [], 0
    try:
        for _ in range(size):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            if at + length > len(data):
                raise _wrong_size(tensor, "a text is longer than the bytes that are left")
            texts.append(str(data[at : at + length], "utf-8"))
            at += length
    except struct.error:
        raise _wrong_size(tensor, f"it holds {len(texts)} texts and the shape {tensor.shape}") from None
    except UnicodeDecodeError:
        raise TensorProblem(
            f"{tensor.name} holds bytes that are not UTF-8", where=f"inputs: {tensor.name}",
            why="Texts travel as UTF-8.", next=f"encode {tensor.name} as UTF-8",
        ) from None  # fmt: skip
    if at != len(data):
        raise _wrong_size(tensor, f"{len(data) - at} bytes are left over after {size} texts")
    return texts


def _check_range(tensor: InputTensor, values: list[Any]) -> None:
    present = [value for value in values if value is not None]
    limits = _LIMITS[tensor.datatype]
    if present and not limits.min <= min(present) <= max(present) <= limits.max:
        raise TensorProblem(
            f"{tensor.name} holds a number beyond {tensor.datatype}", where=f"inputs: {tensor.name}",
            why=f"{tensor.datatype} reaches from {limits.min} to {limits.max}.", next="send it with a wider datatype",
        )  # fmt: skip


def _check_rows(tensor: InputTensor) -> None:
    if tensor.shape and tensor.shape[0] > ROWS_LIMIT:
        raise TensorProblem(
            f"{tensor.name[:100]} has {tensor.shape[0]:,} rows", where=f"inputs: {tensor.name[:100]}",
            why=f"A request holds 1 to {ROWS_LIMIT:,} rows.", next="send the rows in parts",
        )  # fmt: skip


def _shown(shape: Sequence[int]) -> str:
    return str(list(shape)) if len(shape) <= SIDES_SHOWN else f"of {len(shape):,} dimensions"


def _check_used(rest: memoryview) -> None:
    if len(rest):
        raise TensorProblem(
            f"{len(rest)} bytes of the binary part belong to no tensor", where="body",
            why="Each binary tensor announces its size as binary_data_size.", next="correct the sizes",
        )  # fmt: skip


def _wrong_size(tensor: InputTensor, what: str) -> TensorProblem:
    return TensorProblem(
        f"{tensor.name}: {what}", where=f"inputs: {tensor.name}",
        why="A tensor holds as many values as its shape says.", next="make shape, datatype and data agree",
    )  # fmt: skip
