"""Run an ONNX model with ONNX Runtime, on a bounded number of threads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trimtab.kernel import MissingExtra
from trimtab.serving.records import Input, Output
from trimtab.serving.runtimes import Outputs, Rows, check_rows, outputs_of

_STEADY = {
    "Abs", "Add", "And", "ArgMax", "ArgMin", "ArrayFeatureExtractor", "Binarizer", "Cast", "CategoryMapper", "Clip",
    "Concat", "Constant", "Div", "Equal", "Exp", "FeatureVectorizer", "Flatten", "Floor", "Gather", "Gemm", "Greater",
    "GreaterOrEqual", "Identity", "Imputer", "IsInf", "IsNaN", "LabelEncoder", "LeakyRelu", "Less", "LessOrEqual",
    "LinearClassifier", "LinearRegressor", "Log", "MatMul", "Max", "Mean", "Min", "Mul", "Neg", "Normalizer", "Not",
    "OneHotEncoder", "Or", "Pow", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "SVMClassifier", "SVMRegressor", "Scaler", "Shape", "Sigmoid", "Slice", "Softmax", "Sqrt", "Squeeze",
    "Sub", "Sum", "Tanh", "Transpose", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Unsqueeze",
    "Where", "ZipMap",
}  # fmt: skip
"""Operators whose work depends on the shapes that they are given. ``Loop``, ``Range``, ``Expand`` and those that walk
through texts are not among them, nor is any that we do not know."""
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Where these operators live; elsewhere their names may mean anything."""
_NUMPY = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_, "tensor(string)": np.object_,
}  # fmt: skip


class OnnxRuntime:
    """An ONNX graph that takes either one matrix of all columns, or one column [n, 1] for each input.

    Its outputs keep their names and types; only a classifier converted from scikit-learn, whose ``classes`` are known,
    answers ``probability`` and ``label``, as it would by itself. Raises ``ValueError`` for a graph whose inputs are not
    the version's columns.
    """

    name = "ONNX Runtime"

    def __init__(
        self, data: bytes, inputs: tuple[Input, ...], *, sample: Rows, classes: Sequence[Any] = (), threads: int = 1
    ) -> None:
        self.inputs = inputs
        self._session = _session(data, threads)
        self.steady = is_steady(data)
        takes = self._session.get_inputs()
        unknown = next((one.type for one in takes if one.type not in _NUMPY), None)
        if unknown is not None:
            raise ValueError(f"it takes {unknown}, which is no column")
        self._matrix = len(takes) == 1 and (len(inputs) > 1 or takes[0].name != inputs[0].name)
        self._takes = [(one.name, _NUMPY[one.type]) for one in takes]
        if not self._matrix:
            places = {column.name: place for place, column in enumerate(inputs)}
            if set(places) != {name for name, _ in self._takes}:
                raise ValueError(f"it takes {', '.join(name for name, _ in self._takes)}")
            self._places = [places[name] for name, _ in self._takes]
        self._gives = [one.name for one in self._session.get_outputs()]
        self._classes = np.array(classes) if len(classes) and len(self._gives) == 2 else None
        for rows in (sample[:1], sample):
            tried = self.predict(rows)
            check_rows(tried, len(rows))
        self.outputs: tuple[Output, ...] = outputs_of(tried)

    def predict(self, rows: Rows) -> Outputs:
        if self._matrix:
            ((name, dtype),) = self._takes
            feed: dict[str, Any] = {name: rows.numbers(dtype)}
        else:
            feed = {
                name: np.array([[row[place]] for row in rows.values], dtype=dtype)
                for (name, dtype), place in zip(self._takes, self._places, strict=True)
            }
        found = self._session.run(None, feed)
        if self._classes is None:
            return dict(zip(self._gives, found, strict=True))
        each = found[1]
        return {"probability": each[:, 1] if each.shape[1] == 2 else each, "label": self._classes[each.argmax(axis=1)]}


def is_steady(data: bytes) -> bool:
    """Say whether the time that a graph takes depends on the number of its rows alone, never on their values."""
    try:
        import onnx
    except ImportError:
        return False
    model = onnx.load_model_from_string(data)
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    own = {(function.domain, function.name) for function in model.functions}
    return all(
        node.op_type in _STEADY if node.domain in _DOMAINS else (node.domain, node.op_type) in own for node in nodes
    )


def _session(data: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra(
            "an ONNX model cannot be served", where="serving", package="onnxruntime", extra="onnx"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised; it need not be printed as well
    # What was checked is an ONNX file; bytes that can be read as ONNX Runtime's own format too are not read as that.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Threads that spin between requests would take the core that answers them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
