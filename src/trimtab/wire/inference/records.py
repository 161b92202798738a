"""The messages of the Open Inference Protocol v2 over HTTP."""

from typing import Any

import msgspec

Parameters = dict[str, str | float | bool | None]


class InputTensor(msgspec.Struct, frozen=True):
    """``data`` stays undecoded until the datatype says what it should be; it is absent for binary tensors."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw()


class RequestedOutput(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, frozen=True):
    inputs: list[InputTensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] = []


class OutputTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = {}
    data: list[Any] | None = None


class InferResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """``parameters`` holds ``decision_ids``, one for each row, joined by commas."""

    model_name: str
    model_version: str
    parameters: Parameters
    outputs: list[OutputTensor]
    id: str = ""


class TensorMetadata(msgspec.Struct, frozen=True):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """``parameters`` tells the other ways to ask: by ``entity_key``, or by ``request_fields``."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: Parameters = {}


class ServerMetadata(msgspec.Struct, frozen=True):
    name: str
    version: str
    extensions: list[str]


class RepositoryModel(msgspec.Struct, frozen=True):
    name: str
    version: str
    state: str
    reason: str = ""


class Problem(msgspec.Struct, frozen=True):
    """The protocol's error, with the four parts beside it."""

    error: str
    code: str
    what: str
    where: str
    why: str
    next: str
