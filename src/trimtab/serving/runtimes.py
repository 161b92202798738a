"""What runs a loaded model: the same small interface for scikit-learn and for ONNX."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.serving.records import Input, Output, Scalar

Outputs = Mapping[str, NDArray[Any]]


class Rows(msgspec.Struct):
    """Rows to predict, in the order of the model's inputs; ``matrix`` holds the same numbers when they came as one."""

    values: Sequence[Sequence[Scalar]]
    matrix: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, dtype: Any = np.float64) -> NDArray[Any]:
        """Return the rows as a matrix of numbers; a missing value is NaN."""
        if self.matrix is not None:
            return self.matrix.astype(dtype, copy=False)
        return np.array(self.values, dtype=dtype)

    def __getitem__(self, some: slice) -> "Rows":
        return Rows(self.values[some], None if self.matrix is None else self.matrix[some])


@runtime_checkable
class Runtime(Protocol):
    """A model that is ready to predict. ``name`` says which path it takes; safe to call from several threads.

    ``steady``: the time of a call depends on the number of its rows alone, never on their values. Only such a model
    may run on the event loop, since what it took yesterday says what it will take today.
    """

    name: str
    steady: bool
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    def predict(self, rows: Rows) -> Outputs:
        """Return one array for each output, its first axis the rows in their order."""
        ...


_DATATYPES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8",
    "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip


def datatype_of(array: NDArray[Any]) -> str:
    """Return the protocol's name of an array's type; texts and everything else that is not a number are BYTES."""
    return _DATATYPES.get(array.dtype.name, "BYTES")


def outputs_of(predicted: Outputs) -> tuple[Output, ...]:
    """Describe the outputs of a prediction that was made."""
    return tuple(
        Output(name=name, datatype=datatype_of(array), shape=tuple(array.shape[1:]))
        for name, array in predicted.items()
    )


def check_rows(predicted: Outputs, rows: int) -> None:
    """Raise ``ValueError`` for an output that is not one value, or one list of values, for each row."""
    for name, array in predicted.items():
        if not array.ndim or len(array) != rows:
            raise ValueError(f"its output {name} has the shape {list(array.shape)} for a request of {rows} rows")


def lists_of(predicted: Outputs) -> dict[str, list[Any]]:
    """Return each output as one plain value, or one flat list of values, for each row."""
    return {
        name: (array if array.ndim == 1 else array.reshape(len(array), -1)).tolist()
        for name, array in predicted.items()
    }
