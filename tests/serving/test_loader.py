"""The loader: released bytes and no others, listed types and no others, and never a pickle."""

import ast
import copy
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skops.io as skops
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier
from tests.serving.late import ALLOWED, INPUTS, FakeReleases, some_rows
from tests.tracking.test_graphs import WEIGHTS, beside_a_subgraph, sound

import trimtab.serving
from trimtab.kernel import Refused, digest_of_bytes
from trimtab.serving import Input, Loader, LoadRefused
from trimtab.serving.onnx_runtime import OnnxRuntime
from trimtab.serving.runtimes import Rows
from trimtab.store import LocalBlobs, Store, StoreAway
from trimtab.tracking import check_graph

RAN: list[str] = []


class Evil:
    """Unpickling it runs code."""

    def __reduce__(self) -> Any:
        return (RAN.append, ("it ran",))


@pytest.fixture
def loader(sqlite_store: Store, releases: FakeReleases) -> Loader:
    return Loader(sqlite_store, releases, allowed=ALLOWED)


def refused(loader: Loader) -> LoadRefused:
    with pytest.raises(LoadRefused) as caught:
        loader.load("late", 1)
    assert all(caught.value.parts().values())
    assert RAN == []
    return caught.value


def test_a_blob_store_that_is_away_says_nothing_about_the_model(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that loads a version is tried again then, and does not fail for good."""
    releases.release(sqlite_store, 1, models[1])

    def away(_: str) -> bytes:
        raise StoreAway("the blob store is away", where="setting blobs", why="It says so.", next="try again")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_store.blobs, "get", away)
        with pytest.raises(StoreAway):
            loader.load("late", 1)
    assert len(loader.load("late", 1).sample) == 40


def test_what_was_released_is_loaded_and_predicts(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any]
) -> None:
    releases.release(sqlite_store, 1, models[1])
    loaded = loader.load("late", 1)
    assert len(loaded.sample) == 40
    assert len(loaded.runtime.predict(Rows(some_rows(7)))["probability"]) == 7


def test_two_threads_that_read_arrays_at_once_are_no_reason_to_refuse(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    releases.release(sqlite_store, 1, models[1])
    real, tries = skops.loads, []

    def loads(data: bytes, **kwargs: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise SystemError("AST constructor recursion depth mismatch (before=99, after=65)")
        return real(data, **kwargs)

    monkeypatch.setattr(skops, "loads", loads)
    assert len(loader.load("late", 1).runtime.predict(Rows(some_rows(7)))["probability"]) == 7


def test_without_a_release_nothing_is_read(sqlite_store: Store, loader: Loader) -> None:
    with pytest.raises(Refused, match="no release"):
        loader.load("late", 1)


def test_bytes_changed_on_disk_are_refused(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any]
) -> None:
    released = releases.release(sqlite_store, 1, models[1])
    path = sqlite_store.blobs.local_path(released.digest)
    path.chmod(0o644)
    path.write_bytes(skops.dumps(models[2]))
    assert "trimtab verify" in refused(loader).next


def test_a_blob_store_that_lies_is_noticed(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.release(sqlite_store, 1, models[1])
    other = skops.dumps(models[2])
    monkeypatch.setattr(LocalBlobs, "get", lambda self, digest: other)
    assert "not the one that was released" in refused(loader).what


def test_a_missing_blob_is_a_refusal(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any]
) -> None:
    releases.release(sqlite_store, 1, models[1], digest=digest_of_bytes(b"never kept"))
    assert "cannot be read" in refused(loader).what


@pytest.mark.parametrize("format", ["skops", "onnx", "pickle", "joblib", "cloudpickle", "", "SKOPS"])
def test_a_pickle_is_refused_whatever_it_is_called(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, format: str
) -> None:
    data = pickle.dumps(Evil())
    releases.release(sqlite_store, 1, None, digest=sqlite_store.blobs.put(data), format=format)
    refused(loader)


def _with_member(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, data)
    return sink.getvalue()


def _schema(**changes: Any) -> bytes:
    schema = {
        "__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy",
        "file": "evil.npy", "__id__": 1, "protocol": skops._protocol.PROTOCOL if hasattr(skops, "_protocol") else 2,
        "_skops_version": "0.16.0",
    }  # fmt: skip
    return json.dumps(schema | changes).encode()


def crafted() -> dict[str, bytes]:
    """Archives that try to have a pickle run, or anything else that they name."""
    array = io.BytesIO()
    np.save(array, np.array([Evil()], dtype=object), allow_pickle=True)
    found = {"pickle in a zip": _with_member("schema.json", pickle.dumps(Evil())), "empty": b"", "not a zip": b"x" * 99}
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("schema.json", _schema())
        archive.writestr("evil.npy", array.getvalue())
    found["object array"] = sink.getvalue()
    for module, name in (("builtins", "eval"), ("os", "system"), ("pickle", "loads"), ("subprocess", "Popen")):
        content = {
            "__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": '"1"', "is_json": True,
            "__id__": 3,
        }  # fmt: skip
        function = _schema(
            __class__=name,
            __module__=module,
            __loader__="FunctionNode",
            content={"module_path": module, "function": name},
        )
        found[f"function {module}.{name}"] = _with_member("schema.json", function)
        thing = _schema(__class__=name, __module__=module, __loader__="ObjectNode", content=content)
        found[f"object {module}.{name}"] = _with_member("schema.json", thing)
        reduced = _schema(__class__=name, __module__=module, __loader__="TypeNode")
        found[f"type {module}.{name}"] = _with_member("schema.json", reduced)
    return found


@pytest.mark.parametrize("name", sorted(crafted()))
def test_crafted_archives_are_refused(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = crafted()[name]
    releases.release(sqlite_store, 1, None, digest=sqlite_store.blobs.put(data))

    def never(*args: object, **kwargs: object) -> None:
        RAN.append("pickle was asked")

    for function in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, function, never)
    refused(loader)


def test_a_type_that_is_not_listed_is_refused_and_named(
    sqlite_store: Store, releases: FakeReleases, models: dict[int, Any]
) -> None:
    releases.release(sqlite_store, 1, models[1])
    assert "TreePredictor" in refused(Loader(sqlite_store, releases, allowed=ALLOWED[:1])).why


def test_an_archive_that_would_fill_the_memory_is_refused(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimtab.serving.loader, "UNPACKED_LIMIT", 1000)
    releases.release(sqlite_store, 1, models[1])
    assert "unpacks" in refused(loader).why


def test_a_sample_of_other_columns_is_refused(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any]
) -> None:
    other = (*INPUTS, Input(name="unheard_of", kind="float"))
    releases.release(sqlite_store, 1, models[1], inputs=other)
    assert "unheard_of" in refused(loader).why


def test_the_room_never_imports_what_unpickles() -> None:
    folder = Path(trimtab.serving.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [
                alias.name for alias in getattr(node, "names", []) if isinstance(node, ast.Import | ast.ImportFrom)
            ]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {
                "pickle",
                "cloudpickle",
                "joblib",
                "dill",
                "marshal",
                "shelve",
            }, path


NUMBERS = tuple(Input(name=f"x{i}", kind="float", nullable=False) for i in range(4))


@pytest.fixture(scope="module")
def graph() -> tuple[Any, bytes]:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 4)).astype(np.float32)
    model = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(matrix, matrix[:, 0] > 0)
    converted = to_onnx(model, initial_types=[("input", FloatTensorType([None, 4]))], options={"zipmap": False})
    return model, converted.SerializeToString()


def test_onnx_runs_with_the_names_of_its_graph(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, graph: tuple[Any, bytes]
) -> None:
    model, data = graph
    releases.release(
        sqlite_store,
        1,
        None,
        digest=sqlite_store.blobs.put(data),
        format="onnx",
        inputs=NUMBERS,
        sample=None,
        task=None,
    )
    runtime = loader.load("late", 1).runtime
    matrix = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    found = runtime.predict(Rows(matrix.tolist(), matrix))
    assert [(o.name, o.datatype, o.shape) for o in runtime.outputs] == [
        ("label", "INT64", ()), ("probabilities", "FP32", (2,)),
    ]  # fmt: skip
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(matrix), atol=1e-5)


def test_a_converted_classifier_answers_as_it_would_by_itself(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, graph: tuple[Any, bytes]
) -> None:
    _, data = graph
    releases.release(
        sqlite_store, 1, None, digest=sqlite_store.blobs.put(data), format="onnx", inputs=NUMBERS, sample=None,
        classes=(False, True),
    )  # fmt: skip
    runtime = loader.load("late", 1).runtime
    assert {o.name: (o.datatype, o.shape) for o in runtime.outputs} == {
        "probability": ("FP32", ()), "label": ("BOOL", ()),
    }  # fmt: skip


def test_onnx_with_a_tensor_for_each_column(sqlite_store: Store, releases: FakeReleases, loader: Loader) -> None:
    helper, kind = onnx.helper, onnx.TensorProto
    one = helper.make_tensor_value_info("a", kind.DOUBLE, [None, 1])
    two = helper.make_tensor_value_info("b", kind.DOUBLE, [None, 1])
    out = helper.make_tensor_value_info("prediction", kind.DOUBLE, [None, 1])
    flat = helper.make_tensor_value_info("flat", kind.DOUBLE, [None])
    axes = helper.make_tensor("axes", kind.INT64, [1], [1])
    nodes = [
        helper.make_node("Add", ["a", "b"], ["prediction"]),
        helper.make_node("Squeeze", ["prediction", "axes"], ["flat"]),
    ]
    graph = helper.make_graph(nodes, "sum", [one, two], [out, flat], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    inputs = (Input(name="b", kind="float"), Input(name="a", kind="int"))
    releases.release(
        sqlite_store, 1, None, digest=sqlite_store.blobs.put(model.SerializeToString()), format="onnx", inputs=inputs,
        sample=None, task="regression",
    )  # fmt: skip
    runtime = loader.load("late", 1).runtime
    assert runtime.predict(Rows([[0.5, 1], [2.0, 3]]))["flat"].tolist() == [1.5, 5.0]

    releases.release(
        sqlite_store, 1, None, digest=sqlite_store.blobs.put(model.SerializeToString()), format="onnx",
        inputs=(inputs[0], Input(name="c", kind="float")), sample=None,
    )  # fmt: skip
    assert "it takes a, b" in refused(loader).why


@pytest.mark.parametrize("shape", [[1, 0], [0]])
def test_a_graph_whose_outputs_are_not_one_for_each_row_is_refused(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, shape: list[int]
) -> None:
    helper, kind = onnx.helper, onnx.TensorProto
    node = (
        helper.make_node("Transpose", ["x"], ["y"], perm=shape)
        if len(shape) == 2
        else helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)
    )
    takes = helper.make_tensor_value_info("x", kind.FLOAT, [None, 4])
    gives = helper.make_tensor_value_info("y", kind.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([node], "odd", [takes], [gives]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    digest = sqlite_store.blobs.put(model.SerializeToString())
    releases.release(sqlite_store, 1, None, digest=digest, format="onnx", inputs=NUMBERS, sample=None, task=None)
    assert "output y" in refused(loader).why


def test_a_crafted_tree_is_refused_before_it_is_walked(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, models: dict[int, Any]
) -> None:
    crafted = copy.deepcopy(models[1])
    crafted._predictors[0][0].nodes["left"][0] = 0  # for ever
    releases.release(sqlite_store, 1, crafted)
    assert "lead to no node, or back" in refused(loader).why


def test_a_graph_with_values_in_another_file_is_refused(
    sqlite_store: Store, releases: FakeReleases, loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.bin").write_bytes(WEIGHTS.tobytes())
    digest = sqlite_store.blobs.put(beside_a_subgraph().SerializeToString())
    inputs = (Input(name="a", kind="float"), Input(name="b", kind="float"))
    releases.release(sqlite_store, 1, None, digest=digest, format="onnx", inputs=inputs, sample=None, task=None)
    assert "lie in another file" in refused(loader).why


def test_bytes_of_two_formats_are_read_as_the_one_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime takes bytes with ORTM at their fifth place for a format of its own, which nobody has checked."""
    data = b"\x12\x06ORORTM" + sound().SerializeToString()  # the producer's name, which anybody may choose
    assert data[4:8] == b"ORTM"
    check_graph(data, where="here")
    inputs = (Input(name="a", kind="float"), Input(name="b", kind="float"))
    runtime = OnnxRuntime(data, inputs, sample=Rows([[1.0, 1.0]]))
    assert runtime.predict(Rows([[1.0, 1.0]]))["y"].tolist() == [[3.0]]
