"""A gateway over HTTP in a process of its own, that a test may kill: ``python -m tests.wire.inference.serve HOME``."""

import asyncio
import sys
from pathlib import Path

import msgspec
import uvicorn
from tests.serving.late import FakeReleases, gateway_of
from tests.waiting import wait_until_async

from trimtab.features import open_online
from trimtab.kernel import Settings
from trimtab.serving import DecisionLog, Released
from trimtab.store import open_store
from trimtab.wire.inference.app import inference_app

RELEASES = "releases.json"


def write_releases(home: Path, releases: FakeReleases) -> None:
    """Leave what is released for the process to find."""
    (home / RELEASES).write_bytes(msgspec.json.encode(list(releases.released.values())))


async def serve(home: Path) -> None:
    store = open_store(Settings(home=str(home)))
    releases = FakeReleases()
    for one in msgspec.json.decode((home / RELEASES).read_bytes(), type=list[Released]):
        releases.released[one.model, one.version] = one
    # Small segments, so that a kill also meets one that is being sealed.
    log = DecisionLog(store, seal_bytes=40_000)
    gateway = gateway_of(store, releases, online=open_online(store), log=log)
    config = uvicorn.Config(inference_app(gateway, ids=store.ids), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await wait_until_async(lambda: server.started or running.done(), "it serves")
    if server.started:
        sys.stdout.write(f"{server.servers[0].sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
    await running


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
