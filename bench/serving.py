"""How fast a decision is over HTTP: the example's model on real flights, beside a bare ASGI answer on this machine.

    python bench/serving.py [--requests 3000] [--seconds 3]

Prints JSON. A home is filled as a project fills it (snapshot of features, training, packing, registration, approval,
release, routing, materialised view); then ``trimtab up`` serves it in a process of its own, and so does a bare ASGI
application that answers a constant of the same size (``hello``, the limit of the HTTP layer). One client asks over one
connection with a blocking socket; ``many`` are 16 connections of one asyncio client, which takes a good part of the
second core, so requests/s are lower bounds. ``cpu_us`` is user and system time of the server process for each request.
``key``: the request is a flight's key, twelve features are read online; ``raw``: all features are sent as JSON;
``binary``: as binary tensors, 64 rows a request. ``alone``: the parts in one process, without HTTP. ``monitoring``: the
same server with and without its monitoring, in turns, and what that adds to the median of ``key``; what it does in the
background, once a minute, is measured by ``bench/monitoring.py`` (``take_us``).
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from trimtab.features import compile_view, materialise, open_online, register_view, training_frame
from trimtab.kernel import Actor, Settings, parse_time
from trimtab.loop.frames import label_of, model_input
from trimtab.registry import Lineage, ModelArtifacts, approve, register_version, release_for
from trimtab.serving import Ask, Gateway, Loader, RegisteredReleases, Routing, Rows, set_routing
from trimtab.store import Store, open_store
from trimtab.tracking import ALLOWED_TYPES, pack_model

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.features import flights  # noqa: E402

START = "2013-03-01T06:00:00Z"
P50_LIMIT_MS = 3.0
MONITORING_LIMIT_US = 20.0
PART = 50
SETTLE_S = 3.0
"""A server begins by watching, whatever was left by the one before it."""
UP = "from trimtab.cli import main; main()"
UNWATCHED = f"import trimtab.server.rooms as rooms; rooms.mind = lambda store: None; {UP}"
CONNECTIONS = 16
ME = Actor("bench")
VIEW = compile_view(flights.DELAY)
DATATYPES = {"float": "FP64", "int": "INT64", "bool": "BOOL", "category": "BYTES"}


def fill_home(home: Path) -> tuple[list[str], list[list[Any]]]:
    """Make a home whose endpoint ``late`` is served; return keys to ask for and rows to send."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    store = open_store(Settings(home=str(home), clock=START))
    tables, now = flights.tables(), parse_time(START, where="bench")
    frame = training_frame(VIEW, tables, label=flights.LATE, until=now - timedelta(days=1))
    frame = frame.filter(pc.is_valid(frame["label"]))
    rows = model_input(frame, VIEW)
    model = HistGradientBoostingClassifier(max_iter=120, learning_rate=0.1, categorical_features="from_dtype")
    packed = pack_model(model.fit(rows, label_of(frame, "classification")), rows)
    put, nothing = store.blobs.put, store.blobs.put(b"bench")
    with store.change(ME, "bench") as change:
        register_view(change, flights.DELAY)
        version = register_version(
            change, model="late", task="classification",
            artifacts=ModelArtifacts(
                model=put(packed.data), format=packed.format, signature=put(msgspec.json.encode(packed.signature)),
                sample=put(packed.sample),
            ),
            lineage=Lineage(
                data=(nothing,), code=nothing, environment=nothing, features=VIEW.digest, view=VIEW.view.name
            ),
        )  # fmt: skip
    with store.change(ME, "bench") as change:
        approve(change, version, because="bench", override="it is measured, not trusted")
    release_for(store, version)
    with store.change(ME, "bench") as change:
        set_routing(change, Routing(endpoint="late", model="late", champion=1), releases=RegisteredReleases(store))
    materialise(store, VIEW, tables, now=now, actor=ME)
    day = training_frame(VIEW, tables, since=now, until=now + timedelta(hours=12))
    columns = [day[name].to_pylist() for name in VIEW.names]
    store.close()
    return day["key_flight_id"].to_pylist()[:500], [list(row) for row in zip(*columns, strict=True)][:500]


# --- requests -------------------------------------------------------------------------------------------------------


def post(body: bytes, headers: str = "") -> bytes:
    head = f"POST /v2/models/late/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def by_key(key: str) -> bytes:
    return post(
        msgspec.json.encode({"inputs": [{"name": "flight_id", "shape": [1], "datatype": "BYTES", "data": [key]}]})
    )


def raw(row: list[Any]) -> bytes:
    inputs = [
        {"name": column.name, "shape": [1], "datatype": DATATYPES[column.kind], "data": [value]}
        for column, value in zip(VIEW.columns, row, strict=True)
    ]
    return post(msgspec.json.encode({"inputs": inputs}))


def binary(rows: list[list[Any]]) -> bytes:
    inputs, tail = [], b""
    for place, column in enumerate(VIEW.columns):
        values = [row[place] for row in rows]
        if column.kind == "category":
            texts = [value.encode() for value in values]
            data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        else:
            data = np.array(values, dtype=np.float64 if column.kind == "float" else np.int64).tobytes()
        inputs.append(
            {"name": column.name, "shape": [len(rows)], "datatype": DATATYPES[column.kind],
             "parameters": {"binary_data_size": len(data)}}
        )  # fmt: skip
        tail += data
    head = msgspec.json.encode({"inputs": inputs, "parameters": {"binary_data_output": True}})
    return post(head + tail, f"Inference-Header-Content-Length: {len(head)}\r\n")


# --- measuring ------------------------------------------------------------------------------------------------------


def length_of(head: bytes) -> int:
    return int(head.lower().split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])


def one_client(port: int, requests: list[bytes], count: int) -> list[float]:
    """Ask one request after the other; return the seconds of each."""
    seconds = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(count):
            started = time.perf_counter()
            connection.sendall(requests[i % len(requests)])
            data = connection.recv(1 << 20)
            while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + length_of(data[:end]):
                data += connection.recv(1 << 20)
            seconds.append(time.perf_counter() - started)
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(data.decode(errors="replace"))
    return seconds


async def many_clients(port: int, requests: list[bytes], seconds: float) -> list[float]:
    found: list[float] = []

    async def one(offset: int, until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        i = offset
        while time.perf_counter() < until:
            started = time.perf_counter()
            writer.write(requests[i % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(length_of(head))
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit((head + body).decode(errors="replace"))
            found.append(time.perf_counter() - started)
            i += 1
        writer.close()

    until = time.perf_counter() + seconds
    await asyncio.gather(*(one(i * 31, until) for i in range(CONNECTIONS)))
    return found


def figures(port: int, process: psutil.Process, requests: list[bytes], *, count: int, seconds: float) -> dict[str, Any]:
    one_client(port, requests, count // 5)  # warm
    before = cpu_s(process)
    alone = np.array(one_client(port, requests, count))
    between, started = cpu_s(process), time.perf_counter()
    together = np.array(asyncio.run(many_clients(port, requests, seconds)))
    took, after = time.perf_counter() - started, cpu_s(process)
    return {
        "p50_ms": ms(np.quantile(alone, 0.5)), "p99_ms": ms(np.quantile(alone, 0.99)),
        "cpu_us": round((between - before) / count * 1e6, 1),
        "many": {
            "requests_per_s": round(len(together) / took), "p50_ms": ms(np.quantile(together, 0.5)),
            "p99_ms": ms(np.quantile(together, 0.99)), "cpu_us": round((after - between) / len(together) * 1e6, 1),
        },
    }  # fmt: skip


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def ms(seconds: float) -> float:
    return round(float(seconds) * 1e3, 3)


def each_us(act: Callable[[int], Any], count: int) -> float:
    """Return the CPU time of a call, in microseconds."""
    for i in range(count // 10):
        act(i)
    started = time.process_time()
    for i in range(count):
        act(i)
    return round((time.process_time() - started) / count * 1e6, 1)


def alone(home: Path, keys: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    """Measure the parts of a decision in this process."""
    store = open_store(Settings(home=str(home), clock=START))
    online = open_online(store)
    loaded = Loader(store, RegisteredReleases(store), allowed=ALLOWED_TYPES).load("late", 1)
    threadpool_limits(1, user_api="openmp")  # as the gateway does: its waiting threads would be counted too
    given = [Rows([row]) for row in rows]
    parts: dict[str, Any] = {
        "path": loaded.runtime.name,
        "read_online_us": each_us(lambda i: online.read(VIEW, {"flight_id": keys[i % len(keys)]}), 2000),
        "predict_us": each_us(lambda i: loaded.runtime.predict(given[i % len(given)]), 2000),
        "predict_1000_rows_us": each_us(lambda _: loaded.runtime.predict(Rows((rows * 2)[:1000])), 20),
    }
    slow: Any = loaded.runtime
    fast, slow._forest = slow._forest, None  # noqa: SLF001  # there is no switch, and should be none
    parts["predict_by_the_public_path_us"] = each_us(lambda i: slow.predict(given[i % len(given)]), 100)
    slow._forest = fast  # noqa: SLF001
    parts["decide_us"] = asyncio.run(deciding(store, online, rows))
    store.close()
    return parts


async def deciding(store: Store, online: Any, rows: list[list[Any]]) -> float:
    gateway = Gateway(store, releases=RegisteredReleases(store), allowed=ALLOWED_TYPES, online=online)
    await gateway.start()
    asks = [Ask(columns={name: [value] for name, value in zip(VIEW.names, row, strict=True)}) for row in rows]
    for ask in asks:
        await gateway.infer("late", ask)
    started = time.process_time()
    for i in range(2000):
        await gateway.infer("late", asks[i % len(asks)])
    seconds = time.process_time() - started
    await gateway.stop()
    return round(seconds / 2000 * 1e6, 1)


# --- servers --------------------------------------------------------------------------------------------------------


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, answer as many bytes as a decision has."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"300")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b" " * 300})


def serve_hello(port: int) -> None:
    import uvicorn

    uvicorn.run(hello, host="127.0.0.1", port=port, access_log=False, log_level="error", lifespan="off")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def started(command: list[str], port: int, ready: bytes, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, env=os.environ | environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit("a server did not start")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"GET " + ready + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if connection.recv(1000).startswith(b"HTTP/1.1 200"):
                    return process
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("a server is not ready")


@contextmanager
def up(home: Path, code: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run ``trimtab up``; yield its port and its process."""
    port = free_port()
    command = [sys.executable, "-c", code, "up", "--port", str(port)]
    process = started(command, port, b"/v2/models/late/ready", {"TRIMTAB_HOME": str(home), "TRIMTAB_CLOCK": START})
    try:
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def monitoring_cost(home: Path, requests: list[bytes], *, count: int) -> dict[str, Any]:
    """Ask two servers by turns, one without its monitoring: machines change their speed more than that costs."""
    shutil.copytree(home, other := home.with_name("unwatched"))
    with up(home, UP) as (port, _), up(other, UNWATCHED) as (unwatched, _):
        time.sleep(SETTLE_S)
        found: dict[int, list[float]] = {port: [], unwatched: []}
        for part in range(count // PART):
            for at in (port, unwatched) if part % 2 else (unwatched, port):
                found[at] += one_client(at, requests[part % len(requests) :], PART)
    on, off = (float(np.quantile(seconds, 0.5)) for seconds in found.values())
    return {"requests": count, "p50_ms": ms(on), "without_p50_ms": ms(off), "adds_us": round((on - off) * 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--hello", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hello:
        serve_hello(options.hello)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        keys, rows = fill_home(home)
        print(json.dumps(measured(home, keys, rows, options), indent=2))


def measured(home: Path, keys: list[str], rows: list[list[Any]], options: argparse.Namespace) -> dict[str, Any]:
    whole = [row for row in rows if None not in row]
    cells = {
        "key": [by_key(key) for key in keys], "raw": [raw(row) for row in rows],
        "binary": [binary(whole[i : i + 64]) for i in range(0, 256, 64)],
    }  # fmt: skip
    found: dict[str, Any] = {}
    port = free_port()
    process = started([sys.executable, __file__, "--hello", str(port)], port, b"/", {})
    try:
        found["hello"] = figures(
            port, psutil.Process(process.pid), cells["raw"], count=options.requests, seconds=options.seconds
        )
    finally:
        process.kill()
        process.wait()
    with up(home, UP) as (port, server):
        for name, requests in cells.items():
            found[name] = figures(port, server, requests, count=options.requests, seconds=options.seconds)
        memory = server.memory_info().rss
    monitoring = monitoring_cost(home, cells["key"], count=5 * options.requests)
    return {
        "benchmark": "serving",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 1)},
        "limits": {"p50_ms with features read online": P50_LIMIT_MS, "monitoring adds_us": MONITORING_LIMIT_US},
        "passed": found["key"]["p50_ms"] <= P50_LIMIT_MS and monitoring["adds_us"] <= MONITORING_LIMIT_US,
        "http": found,
        "monitoring": monitoring,
        "server_rss_mb": round(memory / 2**20),
        "alone": alone(home, keys, rows),
    }


if __name__ == "__main__":
    main()
