"""What a server tells Prometheus of itself, its disk, its ledger and its work."""

import asyncio
from datetime import UTC, datetime

from tests.monitoring.test_exposition import parsed
from tests.waiting import wait_until_async

from trimtab.kernel import VERSION, Actor, Call
from trimtab.pipelines import PipelineSpec, StepSpec, submit
from trimtab.server import Rooms
from trimtab.server.metrics import MEDIA_TYPE, routes
from trimtab.serving.log import decisions_folder
from trimtab.store import Store


def scraped(rooms: Rooms) -> dict[str, float]:
    """The samples of ``/metrics`` as a running server would answer them."""
    (route,) = [route for route in rooms.routes() if route.path == "/metrics"]
    answer = route.handler(Call(actor=Actor("prometheus")))
    assert answer.media_type == MEDIA_TYPE
    return parsed(answer.data.decode())


def test_an_empty_project(store: Store) -> None:
    found = scraped(Rooms(store))
    assert found[f'trimtab_info{{version="{VERSION}"}}'] == 1
    assert found["trimtab_ready"] == 0
    assert 0 < found["trimtab_disk_free_bytes"] < found["trimtab_disk_size_bytes"]
    assert (found["trimtab_ledger_events"], found["trimtab_ledger_signed_events"]) == (0, 0)
    assert found["trimtab_pipeline_runs_failed_1d"] == 0
    assert "trimtab_minded_timestamp_seconds" not in found


def test_what_is_signed_what_waits_and_what_lies_open(store: Store) -> None:
    spec = PipelineSpec(name="night", steps=(StepSpec(name="only", function="json:dumps"),))
    submit(store, spec, actor=Actor("tester"), because="a test")
    store.checkpoint()
    folder = decisions_folder(store) / "late"
    folder.mkdir(parents=True)
    (folder / "a.log").write_bytes(b"12345")
    (folder / "b.log").write_bytes(b"678")
    found = scraped(Rooms(store))
    assert found["trimtab_ledger_events"] == found["trimtab_ledger_signed_events"] >= 1
    assert found['trimtab_pipeline_runs{status="queued"}'] == 1
    assert found['trimtab_pipeline_runs{status="running"}'] == 0
    assert found['trimtab_decisions_unsealed_bytes{endpoint="late"}'] == 8


def test_a_running_server_is_ready_and_minds_by_the_machines_clock(sqlite_store: Store) -> None:
    rooms = Rooms(sqlite_store)

    async def live() -> dict[str, float]:
        await rooms.start()
        try:
            await wait_until_async(
                lambda: "trimtab_minded_timestamp_seconds" in scraped(rooms), "endpoints were minded"
            )
            await wait_until_async(lambda: not rooms.missing(), "the server is ready")
            return scraped(rooms)
        finally:
            await rooms.stop()

    found = asyncio.run(live())
    assert found["trimtab_ready"] == 1
    # The project lives in 2013; Prometheus compares with the time of the machine.
    assert found["trimtab_minded_timestamp_seconds"] > datetime(2024, 1, 1, tzinfo=UTC).timestamp()


def test_not_ready_is_told_in_the_same_words_as_readyz(sqlite_store: Store) -> None:
    (route,) = routes(
        sqlite_store, list, missing=lambda: "models are being loaded", minded_at=lambda: None, stalls=lambda: 3
    )
    found = parsed(route.handler(Call(actor=Actor("prometheus"))).data.decode())
    assert found["trimtab_ready"] == 0
    assert found["trimtab_event_loop_stalls_total"] == 3
