"""Convert a scikit-learn model to ONNX, and keep the result only where it predicts the same.

The graph takes one float matrix ``X``, or one column ``[n, 1]`` for each input when there are categories. A classifier
answers ``label`` and ``probabilities`` (float64, one column a class), a regressor ``prediction`` (float64, one value a
row).
"""

import importlib.util
import warnings
from typing import Any

import numpy as np
import pyarrow as pa

from trimtab.tracking.graphs import check_graph
from trimtab.tracking.records import Signature

RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""How far predictions of the ONNX graph may lie from the model's own: float32 arithmetic, no more. Labels are equal."""


class NotConvertible(Exception):
    """Why a model is not kept as ONNX, in one sentence. Not an error: skops takes it."""


def to_onnx(model: Any, signature: Signature, table: pa.Table, expected: Any) -> bytes:
    """Return the bytes of an equal ONNX graph; raise ``NotConvertible``.

    ``expected`` is what the model predicts for ``table``: probabilities, or values.
    """
    if signature.task == "other":
        raise NotConvertible("it is neither a classifier nor a regressor")
    if signature.task == "classification" and np.ndim(expected) != 2:
        raise NotConvertible("it gives no probabilities")
    for package in ("onnx", "onnxruntime", "skl2onnx"):
        if importlib.util.find_spec(package) is None:
            raise NotConvertible(f"{package} is not installed")
    by_column = any(spec.kind == "category" for spec in signature.inputs)
    problems: list[str] = []
    for wide in (True, False):
        feed = _feed(signature, table, by_column=by_column, wide=wide)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = _converted(model, signature, by_column=by_column, wide=wide)
                check_graph(data, where="log_model")
                found = _run(data, feed)
        except Exception as error:  # noqa: BLE001  converters of other people's estimators may raise anything
            problems.append(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")
            continue
        problem = _difference(model, signature, found, expected)
        if problem is None:
            return data
        problems.append(problem)
    raise NotConvertible(f"skl2onnx does not convert it ({problems[-1]})")


def _converted(model: Any, signature: Signature, *, by_column: bool, wide: bool) -> bytes:
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    numbers = DoubleTensorType if wide else FloatTensorType
    if by_column:
        takes = [
            (spec.name, (StringTensorType if spec.kind == "category" else numbers)([None, 1]))
            for spec in signature.inputs
        ]
    else:
        takes = [("X", numbers([None, len(signature.inputs)]))]
    options = {id(model): {"zipmap": False}} if signature.task == "classification" else None
    graph = skl2onnx.to_onnx(model, initial_types=takes, options=options)
    _finish(graph, signature)
    data: bytes = graph.SerializeToString()
    return data


def _finish(model: Any, signature: Signature) -> None:
    """Give the outputs the names and types that every model has here, whatever the converter called them."""
    from onnx import TensorProto, helper

    graph = model.graph
    last = graph.output[-1]
    inner = f"{last.name}_before"
    for node in graph.node:
        node.output[:] = [inner if name == last.name else name for name in node.output]
        node.input[:] = [inner if name == last.name else name for name in node.input]
    if signature.task == "classification":
        graph.node.append(helper.make_node("Cast", [inner], [last.name], to=TensorProto.DOUBLE))
        last.type.tensor_type.elem_type = TensorProto.DOUBLE
        return
    graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [1], [-1]))
    graph.node.append(helper.make_node("Cast", [inner], ["wide"], to=TensorProto.DOUBLE))
    graph.node.append(helper.make_node("Reshape", ["wide", "flat"], ["prediction"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None]))


def _feed(signature: Signature, table: pa.Table, *, by_column: bool, wide: bool) -> dict[str, Any]:
    dtype = np.float64 if wide else np.float32
    columns = {spec.name: table.column(spec.name) for spec in signature.inputs}
    if not by_column:
        return {"X": np.column_stack([_numbers(column) for column in columns.values()]).astype(dtype)}
    return {
        spec.name: np.array(columns[spec.name].to_pylist(), dtype=object)[:, None]
        if spec.kind == "category"
        else _numbers(columns[spec.name]).astype(dtype)[:, None]
        for spec in signature.inputs
    }


def _numbers(column: pa.ChunkedArray) -> Any:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _run(data: bytes, feed: dict[str, Any]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, feed)
    return found


def _difference(model: Any, signature: Signature, found: list[Any], expected: Any) -> str | None:
    if signature.task == "classification":
        if len(found) != 2:
            return "the graph has no probabilities"
        labels = np.asarray(model.classes_)[np.asarray(expected).argmax(axis=1)]
        if not np.array_equal(np.asarray(found[0]).astype(labels.dtype), labels):
            return "the graph decides otherwise on the sample"
    if found[-1].shape != np.shape(expected):
        return f"the graph answers in the shape {found[-1].shape}"
    if not np.allclose(found[-1], expected, rtol=RELATIVE, atol=ABSOLUTE):
        return f"the graph differs by {np.abs(found[-1] - expected).max():.2g} on the sample"
    return None
