"""The Open Inference Protocol v2 as its own client speaks it, over a real socket."""

import asyncio
import gzip
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import uvicorn
from tests.serving.late import NAMES, NOON, VIEW, FakeReleases, facts, gateway_of, history, plain, route, trained
from tests.waiting import PATIENCE_S, wait_until

from trimtab.features import OnlineStore, fill
from trimtab.kernel import Settings, VirtualClock
from trimtab.serving import DeadlinePassed, TooBusy, decisions, find_decision
from trimtab.store import Store, open_store
from trimtab.wire.inference import app as app_module
from trimtab.wire.inference.app import inference_app

FRAME, _ = history(64, seed=3)
ROWS = plain(FRAME.fillna({"weather_temp": 40.0, "carrier": "UA"}))
DATATYPES = dict(zip(NAMES, ("BYTES", "BYTES", "FP64", "INT64", "FP64"), strict=True))
NUMPY = {"BYTES": np.object_, "FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "INT32": np.int32}


class Served:
    """A server on a thread, its store and its model."""

    def __init__(self, home: Path) -> None:
        clock = VirtualClock(NOON)
        self.store = open_store(Settings(home=str(home)), clock=clock)
        self.model = trained(1)
        releases = FakeReleases()
        for version, fitted in ((1, self.model), (2, trained(2, trees=5)), (3, trained(3, trees=4))):
            releases.release(self.store, version, fitted, view=VIEW)
        route(self.store, releases, 1, shadow=(3,))
        route(self.store, releases, 1, canary={2: 50.0}, endpoint="split")
        self.online = OnlineStore(home / "online.db")
        fill(self.online, VIEW, facts(), now=NOON)
        gateway = gateway_of(self.store, releases, online=self.online)
        app = inference_app(gateway, ids=self.store.ids, body_limit=1 << 20)
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none"))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()))
        self._thread.start()
        wait_until(lambda: self._server.started, "it serves", alive=self._thread)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.online.close()
        self.store.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served") / "home")
    yield served
    served.stop()


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    opened = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    yield opened
    opened.close()


def tensor(
    name: str, values: list[Any], *, datatype: str = "", binary: bool = True, shape: list[int] | None = None
) -> Any:
    datatype = datatype or DATATYPES[name]
    array = np.array(values, dtype=NUMPY[datatype]).reshape(shape or [len(values)])
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def tensors(rows: list[list[Any]], *, binary: bool = True) -> list[Any]:
    return [
        tensor(name, list(column), binary=binary) for name, column in zip(NAMES, zip(*rows, strict=True), strict=True)
    ]


def ids_of(result: Any) -> list[str]:
    ids: list[str] = result.get_response()["parameters"]["decision_ids"].split(",")
    return ids


def post(served: Served, path: str, body: bytes | str | dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """Send a request by hand; return status, headers and body."""
    data = json.dumps(body) if isinstance(body, dict) else body
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
    try:
        connection.request("POST", path, data, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "1")
    assert not client.is_model_ready("late", "2")
    assert not client.is_model_ready("nowhere")
    about = client.get_server_metadata()
    assert about["name"] == "trimtab"
    assert "binary_tensor_data" in about["extensions"]

    model = client.get_model_metadata("late")
    assert model["versions"] == ["1"]
    assert [(i["name"], i["datatype"], i["shape"]) for i in model["inputs"]] == [(n, DATATYPES[n], [-1]) for n in NAMES]
    assert {o["name"]: o["datatype"] for o in model["outputs"]} == {"probability": "FP64", "label": "INT64"}
    assert model["parameters"]["entity_key"] == "flight_id"
    assert client.get_model_metadata("split")["versions"] == ["1", "2"]
    states = {(m["name"], m["version"]): m["state"] for m in client.get_model_repository_index()}
    assert states["split", "2"] == "READY"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rows", [1, 64])
def test_raw_features_json_and_binary(served: Served, client: Any, binary: bool, rows: int) -> None:
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probability")]
    result = client.infer("late", tensors(ROWS[:rows], binary=binary), outputs=outputs, request_id="r1")
    frame = FRAME.fillna({"weather_temp": 40.0, "carrier": "UA"}).head(rows)
    np.testing.assert_array_equal(result.as_numpy("probability"), served.model.predict_proba(frame)[:, 1])
    np.testing.assert_array_equal(result.as_numpy("label"), served.model.predict(frame))
    said = result.get_response()
    assert (said["model_name"], said["model_version"], said["id"]) == ("late", "1", "r1")
    assert [o["name"] for o in said["outputs"]] == ["label", "probability"]
    ids = ids_of(result)
    assert len(ids) == rows
    one = find_decision(served.store, ids[-1])
    assert list(one.values) == ROWS[rows - 1]
    assert one.result["probability"] == result.as_numpy("probability")[-1]


def test_without_requested_outputs_all_come_in_binary_as_the_client_asks(client: Any) -> None:
    result = client.infer("late", tensors(ROWS[:3]))
    assert result.as_numpy("probability").shape == (3,)
    assert result.as_numpy("label").dtype == np.int64
    assert all("binary_data_size" in o["parameters"] for o in result.get_response()["outputs"])


def test_columns_of_shape_rows_by_one_and_narrower_types(served: Served, client: Any) -> None:
    row = ROWS[0]
    asked = [
        tensor("origin", [row[0]], shape=[1, 1]), tensor("carrier", [row[1]], shape=[1, 1]),
        tensor("distance", [row[2]], datatype="FP32"), tensor("scheduled_hour", [row[3]], datatype="INT32"),
        tensor("weather_temp", [40], datatype="INT32"),
    ]  # fmt: skip
    one = find_decision(served.store, ids_of(client.infer("late", asked))[0])
    assert one.values == (row[0], row[1], float(np.float32(row[2])), row[3], 40.0)
    asked[2] = tensor("distance", [row[2]], datatype="FP32", binary=False)
    assert find_decision(served.store, ids_of(client.infer("late", asked))[0]).values == one.values


def test_entity_keys_travel_as_bytes_tensors(served: Served, client: Any) -> None:
    key = triton.InferInput("flight_id", [2], "BYTES")
    key.set_data_from_numpy(np.array([b"F1", b"F2"], dtype=np.object_))
    result = client.infer("late", [key])
    found = [find_decision(served.store, id_) for id_ in ids_of(result)]
    assert [one.key for one in found] == [{"flight_id": "F1"}, {"flight_id": "F2"}]
    assert {one.source for one in found} == {"key"}
    assert found[0].features["weather_temp"] == 30.0


def test_request_fields_travel_as_columns(served: Served) -> None:
    values = {"origin": "EWR", "carrier": "UA", "distance": 700.0, "scheduled": "2013-03-01T14:00:00Z"}
    inputs = [
        {"name": name, "shape": [1], "datatype": "FP64" if name == "distance" else "BYTES", "data": [value]}
        for name, value in values.items()
    ]
    status, headers, body = post(served, "/v2/models/late/infer", {"inputs": inputs})
    assert status == 200
    one = find_decision(served.store, headers["trimtab-decision-ids"])
    assert (one.source, one.values) == ("context", ("EWR", "UA", 700.0, 14, 30.0))
    assert json.loads(body)["parameters"]["decision_ids"] == one.id


def test_a_split_batch_says_which_version_answered_each_row(served: Served, client: Any) -> None:
    result = client.infer("split", tensors(ROWS))
    versions = result.get_response()["parameters"]["decision_versions"].split(",")
    assert set(versions) == {"1", "2"}
    found = [find_decision(served.store, id_) for id_ in ids_of(result)]
    assert [str(one.version) for one in found] == versions
    only = client.infer("split", tensors(ROWS), model_version="2")
    assert only.get_response()["model_version"] == "2"
    assert "decision_versions" not in only.get_response()["parameters"]


def test_missing_values_are_null_in_json(served: Served) -> None:
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": datatype, "data": [[value], [None]]}
        for (name, datatype), value in zip(DATATYPES.items(), ROWS[0], strict=True)
    ]
    status, headers, _ = post(served, "/v2/models/late/infer", {"inputs": inputs})
    assert status == 200
    first, second = headers["trimtab-decision-ids"].split(",")
    assert list(find_decision(served.store, first).values) == ROWS[0]
    assert set(find_decision(served.store, second).values) == {None}


def test_packed_bodies(served: Served, client: Any) -> None:
    for way in ("gzip", "deflate"):
        assert client.infer("late", tensors(ROWS[:2]), request_compression_algorithm=way).as_numpy("label").size == 2
    bomb = gzip.compress(bytes(100 << 20))
    assert len(bomb) < 1 << 20
    status, _, _ = post(served, "/v2/models/late/infer", bomb, {"Content-Encoding": "gzip"})
    assert status == 413


def _one(name: str = "distance", **changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": [1], "datatype": "FP64", "data": [1.0]} | changes]}


def _binary(head: dict[str, Any], tail: bytes, length: int | str | None = None) -> tuple[bytes, dict[str, str]]:
    data = json.dumps(head).encode()
    return data + tail, {"Inference-Header-Content-Length": str(len(data) if length is None else length)}


def _sized(size: Any, **changes: Any) -> dict[str, Any]:
    one: dict[str, Any] = {
        "name": "distance",
        "shape": [1],
        "datatype": "FP64",
        "parameters": {"binary_data_size": size},
    }
    return {"inputs": [one | changes]}


MISTAKES: dict[str, tuple[int, Any, dict[str, str], str]] = {
    "empty": (400, b"", {}, "body is empty"),
    "not json": (400, b"\x00\xff{", {}, "not JSON"),
    "no inputs": (400, {}, {}, "not an inference request"),
    "empty inputs": (400, {"inputs": []}, {}, "no inputs"),
    "no shape": (400, {"inputs": [{"name": "x", "datatype": "FP64", "data": []}]}, {}, "not an inference request"),
    "no data": (400, {"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64"}]}, {}, "neither data"),
    "unknown datatype": (400, _one(datatype="FP8"), {}, "datatype 'FP8'"),
    "wrong kind": (400, _one(data=["far"]), {}, "does not hold FP64"),
    "lone surrogate": (400, b'{"inputs":[{"name":"o","shape":[1],"datatype":"BYTES","data":["\\ud800"]}]}', {}, ""),
    "too few": (400, _one(shape=[3]), {}, "has 1 values and the shape [3]"),
    "negative shape": (400, _one(shape=[-1]), {}, "the shape [-1]"),
    "huge shape": (400, _one(shape=[2**60, 2**60]), {}, "rows"),
    "too many rows": (400, *_binary(_sized(80_008, shape=[10_001]), bytes(80_008)), "10,001 rows"),
    "three dimensions": (400, _one(shape=[1, 1, 1]), {}, "the shape"),
    "many dimensions": (400, _one(shape=[9] * 50_000), {}, "the shape of 50,000 dimensions"),
    "deeply nested": (400, b'{"inputs":[],"parameters":{"a":' + b"[" * 99_999, {}, "nested too deeply"),
    "out of range": (400, _one(datatype="INT8", data=[300]), {}, "beyond INT8"),
    "float as int": (400, _one(datatype="INT64", data=[1.5]), {}, "does not hold INT64"),
    "infinite as FP32": (400, {"inputs": [*_one(datatype="FP32", data=[1e300])["inputs"]]}, {}, "is missing"),
    "twice": (400, {"inputs": [*_one()["inputs"], *_one()["inputs"]]}, {}, "sent twice"),
    "unknown input": (400, _one("colour"), {}, "no input colour"),
    "missing inputs": (400, _one(), {}, "is missing"),
    "unknown output": (400, _one() | {"outputs": [{"name": "odds"}]}, {}, "no output 'odds'"),
    "header too long": (400, *_binary(_one(), b"", 10**6), "Inference-Header-Content-Length"),
    "header not a number": (400, *_binary(_one(), b"", "many"), "Inference-Header-Content-Length"),
    "header with more digits than numbers have": (
        400, *_binary(_one(), b"", "9" * 5_000), "Inference-Header-Content-Length",
    ),
    "bytes missing": (400, *_binary(_sized(8), b"1234"), "8 bytes are announced and 4 are left"),
    "bytes left": (400, *_binary(_sized(8), bytes(16)), "belong to no tensor"),
    "wrong size": (400, *_binary(_sized(4), bytes(4)), "4 bytes are not 1 values"),
    "size not a number": (400, *_binary(_sized("8"), bytes(8)), "announced"),
    "size negative": (400, *_binary(_sized(-8), bytes(8)), "announced"),
    "text too long": (
        400, *_binary(_sized(6, datatype="BYTES"), struct.pack("<I", 99) + b"ab"), "longer than the bytes",
    ),
    "texts too few": (400, *_binary(_sized(2, datatype="BYTES"), b"ab"), "holds 0 texts"),
    "texts too many": (
        400, *_binary(_sized(12, datatype="BYTES"), (struct.pack("<I", 2) + b"ab") * 2), "left over",
    ),
    "not utf-8": (400, *_binary(_sized(5, datatype="BYTES"), struct.pack("<I", 1) + b"\xff"), "not UTF-8"),
    "a matrix of texts": (400, _one(datatype="BYTES", shape=[1, 2], data=["a", "b"]), {}, "matrix of BYTES"),
    "a matrix where texts are needed": (400, _one(shape=[1, 2], data=[1, 2]), {}, "matrix with 2 columns"),
    "too large": (413, b"x" * ((1 << 20) + 1), {}, "more than 1048576 bytes"),
    "packed strangely": (400, b"x", {"Content-Encoding": "br"}, "'br'"),
    "packed badly": (400, b"x", {"Content-Encoding": "gzip"}, "cannot be unpacked"),
    "unknown key": (404, _one("flight_id", datatype="BYTES", data=["F99"]), {}, "no Flight"),
}  # fmt: skip


def test_more_json_than_the_loop_may_decode_is_refused_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "VALUES_LIMIT", 1_000)
    monkeypatch.setattr(app_module, "OBJECTS_LIMIT", 10)
    many = {"inputs": [{"name": f"x{i}", "shape": [1], "datatype": "FP64", "data": [1]} for i in range(11)]}
    for body in (_one(data=[1.0] * 1_100), many):
        status, _, answer = post(served, "/v2/models/late/infer", body)
        assert (status, json.loads(answer)["code"]) == (413, "inference.body-too-large")


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_get_the_protocols_error_with_four_parts(served: Served, name: str) -> None:
    wanted, body, headers, what = MISTAKES[name]
    status, _, answer = post(served, "/v2/models/late/infer", body, headers)
    problem = json.loads(answer)
    assert status == wanted, problem
    assert what in problem["error"]
    assert all(problem[part] for part in ("error", "code", "what", "where", "why", "next"))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v2/models/nowhere/infer", 404), ("/v2/models/late/versions/9/infer", 404),
        ("/v2/models/late/versions/x/infer", 404), ("/v2/models/late/versions/%D9%A1/infer", 404),
        ("/v2/models/late/versions/3/infer", 403), ("/v2/nothing", 404),
        ("/v2/models/late", 404), ("/v2", 404),
    ],
)  # fmt: skip
def test_addresses_that_do_not_answer(served: Served, path: str, wanted: int) -> None:
    rows = dict(zip(NAMES, ROWS[0], strict=True))
    inputs = [{"name": n, "shape": [1], "datatype": DATATYPES[n], "data": [v]} for n, v in rows.items()]
    status, _, answer = post(served, path, {"inputs": inputs})
    assert status == wanted, answer
    assert json.loads(answer)["next"]


def test_a_client_sees_the_error_text(client: Any) -> None:
    with pytest.raises(
        triton.InferenceServerException if hasattr(triton, "InferenceServerException") else Exception
    ) as caught:
        client.infer("late", [tensor("distance", [1.0])])
    assert "is missing" in str(caught.value)


def test_a_matrix_holds_all_columns_of_a_model_of_numbers(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    from trimtab.serving import Input

    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(50, 3))
    model = LogisticRegression().fit(matrix, matrix[:, 0] > 0)
    inputs = tuple(Input(name=f"x{i}", kind="float", nullable=False) for i in range(3))
    home = tmp_path / "home"
    store: Store = open_store(Settings(home=str(home)))
    releases = FakeReleases()
    releases.release(store, 1, model, model="plain", inputs=inputs, sample=None)
    route(store, releases, 1, endpoint="plain", model="plain")
    gateway = gateway_of(store, releases)
    app = inference_app(gateway, ids=store.ids)

    async def ask(body: dict[str, Any]) -> Any:
        await gateway.start()
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/mnt/v2/models/plain/infer",
            "root_path": "/mnt",
            "headers": [],
        }
        await app(scope, receive, send)
        await gateway.stop()
        return sent[0]["status"], json.loads(sent[1]["body"])

    for data in (matrix.tolist(), matrix.ravel().tolist()):
        tensor_ = {"name": "input", "shape": [50, 3], "datatype": "FP64", "data": data}
        gateway = gateway_of(store, releases)
        app = inference_app(gateway, ids=store.ids)
        status, said = asyncio.run(ask({"inputs": [tensor_]}))
        assert status == 200
        np.testing.assert_array_equal(said["outputs"][0]["data"], model.predict_proba(matrix)[:, 1])
        assert said["outputs"][1] == {
            "name": "label", "shape": [50], "datatype": "BOOL", "data": (matrix[:, 0] > 0).tolist(),
        } or said["outputs"][1]["datatype"] == "BOOL"  # fmt: skip
    store.close()


def test_a_body_that_is_cut_short_by_a_hang_up_is_no_request(served: Served) -> None:
    inputs = [
        {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
        for (name, datatype), value in zip(DATATYPES.items(), ROWS[0], strict=True)
    ]
    whole = json.dumps({"inputs": inputs})
    before = len(decisions(served.store, "split", limit=10_000))
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S) as connection:
            # All of the JSON is there; what is announced beyond it, a binary tensor for example, never comes.
            announced = f"Content-Length: {len(whole) + 8}\r\nInference-Header-Content-Length: {len(whole)}\r\n\r\n"
            connection.sendall(f"POST /v2/models/split/infer HTTP/1.1\r\nHost: x\r\n{announced}{whole}".encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1000) == b"", "nobody is answered"
    assert post(served, "/v2/models/split/infer", whole)[0] == 200
    assert len(decisions(served.store, "split", limit=10_000)) == before + 1


def test_a_late_answer_is_a_gateway_timeout_and_a_full_queue_says_when_to_come_again() -> None:
    late = app_module.problem(DeadlinePassed("it took too long", where="version late@1"))
    assert late[0] == 504
    busy = app_module.problem(TooBusy("too many", where="version late@1", retry_after_s=7))
    assert (busy[0], dict(busy[2])[b"retry-after"]) == (503, b"7")
