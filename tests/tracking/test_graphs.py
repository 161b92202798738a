"""An ONNX model is all in its own bytes: no file beside it, no operator from elsewhere, nothing out of proportion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from trimtab.tracking import NotPackable, Unsound, check_graph, pack_model
from trimtab.tracking.graphs import GRAPH_LIMIT_BYTES, NESTING_LIMIT

WEIGHTS = np.array([[1.0], [2.0]], dtype=np.float32)
SAMPLE = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})


def sound(*, nodes: tuple[Any, ...] = (), weights: Any = None) -> Any:
    """Return a model that multiplies a matrix by two weights."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "w"], ["y"]), *nodes],
        "graph",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(WEIGHTS, "w") if weights is None else weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def outside(location: str = "beside.bin") -> Any:
    """Return a tensor of two weights whose values lie in another file."""
    tensor = TensorProto(name="elsewhere", data_type=TensorProto.FLOAT, dims=[2, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def constant(tensor: Any) -> Any:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def graph_of(node: Any) -> Any:
    return helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [2, 1])])


def branches(inner: Any) -> Any:
    return helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)


def in_function(model: Any) -> None:
    made = helper.make_function("own", "Twice", [], ["c"], [constant(outside())], [helper.make_opsetid("", 20)])
    model.functions.append(made)


def in_training(model: Any) -> None:
    model.training_info.add().algorithm.CopyFrom(graph_of(constant(outside())))


def in_sparse(model: Any) -> None:
    indices = numpy_helper.from_array(np.array([0], dtype=np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(outside(), indices, [2]))


def in_list(model: Any) -> None:
    node = model.graph.node.add(op_type="Constant", output=["l"])
    node.attribute.add(name="many", type=onnx.AttributeProto.TENSORS).tensors.append(outside())


def in_list_of_graphs(model: Any) -> None:
    node = model.graph.node.add(op_type="Constant", output=["l"])
    made = node.attribute.add(name="many", type=onnx.AttributeProto.GRAPHS)
    made.graphs.append(graph_of(constant(outside())))


def in_default_of_function(model: Any) -> None:
    in_function(model)
    function = model.functions[0]
    del function.node[:]
    function.attribute_proto.append(helper.make_attribute("given", outside()))


def marked_only(model: Any) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def named_only(model: Any) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def in_memory(model: Any) -> None:
    model.graph.initializer[0].CopyFrom(outside("*/_ORT_MEM_ADDR_/*"))


HIDING: dict[str, Callable[[Any], None]] = {
    "an initializer": lambda model: model.graph.initializer[0].CopyFrom(outside()),
    "an attribute": lambda model: model.graph.node.append(constant(outside())),
    "a list of tensors": in_list,
    "a subgraph": lambda model: model.graph.node.append(branches(graph_of(constant(outside())))),
    "a list of subgraphs": in_list_of_graphs,
    "a subgraph of a subgraph": lambda model: model.graph.node.append(
        branches(graph_of(branches(graph_of(constant(outside())))))
    ),
    "a function": in_function,
    "a function's default": in_default_of_function,
    "training": in_training,
    "a sparse tensor": in_sparse,
    "a mark without a file": marked_only,
    "a file without a mark": named_only,
    "an address in memory": in_memory,
}  # fmt: skip


def test_a_model_in_its_own_bytes_passes_and_is_packed() -> None:
    model = sound()
    model.graph.initializer[0].data_location = TensorProto.DEFAULT  # as onnx.load leaves it
    check_graph(model.SerializeToString(), where="here")
    assert pack_model(model, SAMPLE).format == "onnx"


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING.keys())
def test_values_in_another_file_are_refused_wherever_they_are_named(hide: Callable[[Any], None]) -> None:
    model = sound()
    hide(model)
    with pytest.raises(Unsound, match="lie in another file"):
        check_graph(model.SerializeToString(), where="here")
    with pytest.raises(NotPackable, match="lie in another file") as caught:
        pack_model(model, SAMPLE)
    assert all(caught.value.parts().values())


def beside_a_subgraph() -> Any:
    """Return a model that a runtime loads, and that answers what a file beside it says."""
    weights = outside()
    weights.name = "w"
    inner = graph_of(helper.make_node("Identity", ["w"], ["c"]))
    inner.initializer.append(weights)
    model = sound()
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["X"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["yes"], to=TensorProto.BOOL),
            helper.make_node("If", ["yes"], ["chosen"], then_branch=inner, else_branch=inner),
            helper.make_node("MatMul", ["X", "chosen"], ["y"]),
        ]
    )
    return model


def test_without_the_check_a_file_beside_a_graph_changes_its_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = beside_a_subgraph().SerializeToString()
    monkeypatch.chdir(tmp_path)
    answers = []
    for factor in (1, 2):
        (tmp_path / "beside.bin").write_bytes((WEIGHTS * factor).tobytes())
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        answers.append(float(session.run(None, {"X": np.ones((1, 2), np.float32)})[0][0, 0]))
    assert answers == [3.0, 6.0]
    with pytest.raises(Unsound, match="'w' lie in another file"):
        check_graph(data, where="here")


@pytest.mark.parametrize("domain", ["com.microsoft", "com.example", "ai.onnx.ml2"])
def test_operators_from_elsewhere_are_refused(domain: str) -> None:
    model = sound(nodes=(helper.make_node("Shell", ["y"], ["z"], domain=domain),))
    model.opset_import.append(helper.make_opsetid(domain, 1))
    with pytest.raises(Unsound, match="lies elsewhere"):
        check_graph(model.SerializeToString(), where="here")
    del model.opset_import[-1]
    with pytest.raises(Unsound, match="calls 'Shell'"):
        check_graph(model.SerializeToString(), where="here")


def test_a_function_of_the_model_itself_may_have_a_domain_of_its_own() -> None:
    model = sound(nodes=(helper.make_node("Twice", ["y"], ["z"], domain="own"),))
    model.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 20)]))
    check_graph(model.SerializeToString(), where="here")


def test_sizes_and_nesting_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    large = sound(weights=TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20]))
    with pytest.raises(Unsound, match="declare more than 2 GiB"):
        check_graph(large.SerializeToString(), where="here")
    negative = sound(weights=TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1, 2]))
    with pytest.raises(Unsound, match="negative size"):
        check_graph(negative.SerializeToString(), where="here")
    sparse = sound()
    values, indices = numpy_helper.from_array(np.ones(1, np.float32)), numpy_helper.from_array(np.zeros(1, np.int64))
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 40]))
    with pytest.raises(Unsound, match="declare more than 2 GiB"):
        check_graph(sparse.SerializeToString(), where="here")
    deep = graph_of(constant(numpy_helper.from_array(WEIGHTS)))
    for _ in range(NESTING_LIMIT // 3 + 1):
        deep = graph_of(helper.make_node("If", ["yes"], ["z"], then_branch=deep))
    with pytest.raises(Unsound, match="nested deeper"):
        check_graph(sound(nodes=tuple(deep.node)).SerializeToString(), where="here")
    monkeypatch.setattr("trimtab.tracking.graphs.GRAPH_LIMIT_BYTES", 10)
    with pytest.raises(Unsound, match="and may have 10"):
        check_graph(sound().SerializeToString(), where="here")
    assert GRAPH_LIMIT_BYTES < 1 << 31


@pytest.mark.parametrize(
    "data",
    [b"", b"not a model", b"\x00" * 40, helper.make_opsetid("", 20).SerializeToString()],
    ids=["nothing", "text", "zeros", "another message"],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(Unsound):
        check_graph(data, where="here")


def test_what_the_installed_onnx_does_not_know_is_refused() -> None:
    later = bytes([0xFA, 0x3F, 1, 120])  # field 1023, a text of one letter
    with pytest.raises(Unsound, match="does not know"):
        check_graph(sound().SerializeToString() + later, where="here")
