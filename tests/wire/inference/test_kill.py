"""``kill -9`` of the server under load: every decision that was answered is in the log."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.serving.late import NAMES, FakeReleases, route, some_rows, trained
from tests.waiting import wait_until_async
from tests.wire.inference.serve import write_releases

from trimtab.kernel import Settings
from trimtab.serving import DecisionLog, decisions, find_decision, sealed_segments
from trimtab.store import Store, open_store

ROOT = Path(__file__).parents[3]
CLIENTS = 16


def request_of(row: list[Any]) -> bytes:
    datatypes = ("BYTES", "BYTES", "FP64", "INT64", "FP64")
    inputs = [
        {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
        for name, datatype, value in zip(NAMES, datatypes, row, strict=True)
    ]
    body = msgspec.json.encode({"inputs": inputs})
    head = f"POST /v2/models/late/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask_on(port: int, requests: list[bytes], answered: dict[str, float]) -> None:
    """Ask until the connection dies; note each decision whose whole answer arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for place in range(10**9):
            writer.write(requests[place % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = msgspec.json.decode(await reader.readexactly(length))
            if b" 200 " in head[:15]:
                answered[answer["parameters"]["decision_ids"]] = answer["outputs"][0]["data"][0]
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def load(
    port: int, process: "subprocess.Popen[bytes]", enough: Callable[[int], bool], later_s: float
) -> dict[str, float]:
    """Ask from many sides until so many answers are ``enough``; kill the server at some moment after that."""
    requests = [request_of(row) for row in some_rows(50)]
    answered: dict[str, float] = {}
    clients = [asyncio.create_task(ask_on(port, requests, answered)) for _ in range(CLIENTS)]
    await wait_until_async(lambda: enough(len(answered)), "enough is answered", alive=process)
    await asyncio.sleep(later_s)
    os.kill(process.pid, signal.SIGKILL)
    await asyncio.gather(*clients)
    return answered


def started(home: Path) -> "tuple[subprocess.Popen[bytes], int]":
    process = subprocess.Popen([sys.executable, "-m", "tests.wire.inference.serve", str(home)], cwd=ROOT, stdout=-1)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the server did not start"
    return process, int(line)


def check(store: Store, answered: dict[str, float]) -> None:
    logged = {one.id: one.result["probability"] for one in decisions(store, "late", limit=10**7)}
    assert answered
    assert {id_: logged.get(id_) for id_ in answered} == answered


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_no_answered_decision_is_lost(tmp_path: Path) -> None:
    home, releases = tmp_path / "home", FakeReleases()
    store = open_store(Settings(home=str(home)))
    releases.release(store, 1, trained(1))
    route(store, releases)
    write_releases(home, releases)
    everything: dict[str, float] = {}
    chance = random.Random(0)
    try:
        for enough in (lambda count: count > 200, lambda count: count > 200 and sealed_segments(store, "late")):
            process, port = started(home)
            try:
                everything |= asyncio.run(load(port, process, enough, chance.uniform(0.0, 0.5)))
            finally:
                process.kill()
                process.communicate()
            check(store, everything)  # readable at once, from the files as they were left
        assert sealed_segments(store, "late")  # the kill met segments of every kind
        DecisionLog(store).recover()
        assert not list((home / "decisions").rglob("*.log"))
        check(store, everything)
        for id_ in chance.sample(sorted(everything), 20):
            assert find_decision(store, id_).result["probability"] == everything[id_]
    finally:
        store.close()
