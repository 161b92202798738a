"""The description of the API: whole, true, and held against the server by generated requests."""

import threading
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance
from tests.waiting import PATIENCE_S, wait_until

from trimtab.kernel import Actor, Permission
from trimtab.server import Rooms, application, doors_of, issue_token
from trimtab.server.api import Live
from trimtab.store import Store
from trimtab.tracking import start_run

EXAMPLES = 3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server over a small home."""
    from trimtab.kernel import Settings
    from trimtab.store import open_store

    store = open_store(Settings(home=str(tmp_path_factory.mktemp("home")), port=0))
    _fill(store)
    rooms = Rooms(store)
    app = application(store, doors_of(store, store.settings), rooms=rooms, live=Live(rooms.events))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "it serves", alive=thread)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)
    store.close()


def _fill(store: Store) -> None:
    run = start_run(store, experiment="generated", name="one", actor=Actor("ann"), capture=())
    run.log_metric("auc", 0.7)
    run.finish()
    with store.change(Actor("ann"), "test") as change:
        issue_token(change, "ci", may=["read"])


def test_every_operation_is_described(served: str) -> None:
    document = httpx.get(f"{served}/api/v1/openapi.json", timeout=PATIENCE_S).json()
    assert document["openapi"] == "3.1.0"
    operations = [op for path in document["paths"].values() for op in path.values()]
    assert len(operations) > 40
    assert len({op["operationId"] for op in operations}) == len(operations)
    for op in operations:
        assert op["summary"]
        assert op["x-permission"] in set(Permission)
    assert not [path for path in document["paths"] if path.startswith("/ui")]


def test_generated_requests_find_no_fault_of_ours(served: str) -> None:
    schema = schemathesis.openapi.from_url(f"{served}/api/v1/openapi.json", timeout=PATIENCE_S)
    asked = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/api/v1/live":
            continue  # a stream without an end

        @settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(timeout=PATIENCE_S, checks=[not_a_server_error, response_schema_conformance])

        ask()
    assert asked > 100
